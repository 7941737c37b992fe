package gossip

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"
)

// floodedHost is the environment's name of a flooded host: the test's program is that
// host then, so that its memory can be measured alone.
const floodedHost = "GREMESH_TEST_FLOODED_HOST"

// memoryLimit is what `gremesh agent` sets.
const memoryLimit = 160 << 20

type flooded struct {
	Underlay netip.AddrPort
	Keys     [][]byte
	Dir      string
}

// beFlooded runs a host until standard input ends.
func beFlooded(config string) error {
	debug.SetMemoryLimit(memoryLimit)
	var of flooded
	if err := json.Unmarshal([]byte(config), &of); err != nil {
		return err
	}
	cfg := Config{Name: "h1", Bootstrap: true, Underlay: of.Underlay, Keys: of.Keys, Dir: of.Dir, Settings: testSettings, Log: newLog()}
	node, err := New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	fmt.Println("runs")
	return node.Run(ctx)
}

// resident is a process's memory in bytes now, and at most until now.
func resident(t *testing.T, pid int) (now, peak int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) int64 {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if m == nil {
			t.Fatalf("no %s in %s", name, status)
		}
		kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
		return kb << 10
	}
	return value("VmRSS"), value("VmHWM")
}

// TestAHundredLargeStreamsOfStrangers: whatever addresses outside the mesh
// send, the host's memory stays below 200 MiB and the mesh stays whole.
func TestAHundredLargeStreamsOfStrangers(t *testing.T) {
	most := int64(200 << 20)
	if raceDetector {
		most *= 4 // it keeps a shadow of all memory
	}
	tm := newTestMesh(t)
	cfg := tm.config(1)
	config, err := json.Marshal(flooded{cfg.Underlay, cfg.Keys, cfg.Dir})
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), floodedHost+"="+string(config))
	victim.Stderr = os.Stderr
	stdin, err := victim.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := victim.Wait(); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "runs\n" {
		t.Fatal(line, err)
	}
	h2, h3 := tm.start(tm.config(2)), tm.start(tm.config(3))
	connected := func() bool { return alive(h2) == 2 && alive(h3) == 2 }
	eventually(t, "3 hosts", connected)
	began, _ := resident(t, victim.Process.Pid)

	for _, flood := range []struct {
		name string
		run  func(ctx context.Context)
	}{
		{"100 connections of 20 MiB of one address", func(ctx context.Context) {
			each(100, func(int) { push(ctx, tm.address(1), outsider(0), 20<<20) })
		}},
		{"20 MiB of each of 254 addresses", func(ctx context.Context) {
			each(254, func(i int) { push(ctx, tm.address(1), outsider(i), 20<<20) })
		}},
		{"256 KiB of each of 254 addresses", func(ctx context.Context) {
			each(254, func(i int) { push(ctx, tm.address(1), outsider(i), strangerMessage) })
		}},
		{"100 connections of 20 MiB of a member's address", func(ctx context.Context) { // a container's, behind its host's NAT
			each(100, func(int) { push(ctx, tm.address(1), tm.address(3).Addr(), 20<<20) })
		}},
		{"slow senders", func(ctx context.Context) {
			each(254, func(i int) { trickle(ctx, tm.address(1), outsider(i)) })
		}},
		{"20,000 idle connections", func(ctx context.Context) {
			each(200, func(i int) {
				for range 100 {
					idle(ctx, tm.address(1), outsider(i))
				}
			})
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		done := make(chan struct{})
		go func() { defer close(done); flood.run(ctx) }()
		apart := 0
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-time.After(20 * time.Millisecond):
				if !connected() {
					apart++
				}
			}
		}
		cancel()
		now, peak := resident(t, victim.Process.Pid)
		t.Logf("%s: %d MiB, at most %d MiB (%d before)", flood.name, now>>20, peak>>20, began>>20)
		if peak >= most {
			t.Errorf("%s: %d MiB of memory, want less than %d", flood.name, peak>>20, most>>20)
		}
		if apart > 0 {
			t.Errorf("%s: the mesh was not whole in %d samples", flood.name, apart)
		}
	}
	newcomer := tm.start(tm.config(4))
	eventually(t, "a newcomer gets in afterwards", func() bool { return alive(newcomer) == 3 && alive(h2) == 3 })
}

func outsider(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 9, byte(i)}) }

func each(n int, do func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i + 1) })
	}
	all.Wait()
}

func dialFrom(ctx context.Context, to netip.AddrPort, from netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return conn, conn.SetDeadline(deadline)
}

// push sends what looks like an encrypted message, and waits until it is closed.
func push(ctx context.Context, to netip.AddrPort, from netip.Addr, size int) {
	conn, err := dialFrom(ctx, to, from)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(announce(size))
	chunk := make([]byte, 64<<10)
	for size > 0 && err == nil {
		_, err = conn.Write(chunk[:min(size, len(chunk))])
		size -= len(chunk)
	}
	_, _ = conn.Read(chunk[:1])
}

// trickle sends a byte now and then.
func trickle(ctx context.Context, to netip.AddrPort, from netip.Addr) {
	for ctx.Err() == nil {
		conn, err := dialFrom(ctx, to, from)
		for _, b := range announce(1000) {
			if err == nil {
				_, err = conn.Write([]byte{b})
			}
			if !sleepContext(ctx, 300*time.Millisecond) {
				break
			}
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// idle opens a connection and waits until it is closed by the other end.
func idle(ctx context.Context, to netip.AddrPort, from netip.Addr) {
	conn, err := dialFrom(ctx, to, from)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
}
