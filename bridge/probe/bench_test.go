package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/bridge"
)

// BenchmarkAThousandPeers reports what probing costs this process, as a share of
// one core, while all peers answer. They are another process, at the other end of
// a wire.
//
//	go test -run '^$' -bench ThousandPeers -benchtime 1x ./bridge/probe
func BenchmarkAThousandPeers(b *testing.B) {
	pair := newPair(b)
	answerAll(b, pair.peer)
	peers := make([]netip.Addr, 0, 1000)
	var entries strings.Builder
	for i := range 1000 {
		at := netip.AddrFrom4([4]byte{172, 20 + byte(i>>8), byte(i), 1})
		peers = append(peers, at)
		fmt.Fprintf(&entries, "fdb add %s dev br0 master static\n", bridge.MAC(at))
	}
	cmd := exec.CommandContext(b.Context(), "bridge", "-batch", "-")
	cmd.Stdin = strings.NewReader(entries.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for b.Loop() {
		p := run(b, peers...)
		up := 0
		for end := time.Now().Add(2 * time.Minute); up < len(peers); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				b.Fatalf("%d paths are up", up)
			}
			up = 0
			for _, path := range p.Paths() {
				if path.State == Up {
					up++
				}
			}
		}
		time.Sleep(interval(len(peers))) // until the first probes are over
		before, sent, lost := cpu(), total(p), totalLost(p)
		began := time.Now()
		time.Sleep(time.Minute)
		took, spent, probes := time.Since(began), cpu()-before, total(p)-sent
		b.ReportMetric(100*spent.Seconds()/took.Seconds(), "%core")
		b.ReportMetric(float64(probes)/took.Seconds(), "probes/s")
		b.ReportMetric(float64(spent.Microseconds())/float64(probes), "µs/probe")
		b.ReportMetric(float64(totalLost(p)-lost), "lost")
	}
}

// responder marks the process that answers as all peers.
const responder = "GREMESH_PROBE_TEST_RESPONDER"

// answerAll starts it in a namespace.
func answerAll(b *testing.B, at int) {
	b.Helper()
	cmd := exec.CommandContext(context.Background(), "nsenter", "--net=/proc/"+strconv.Itoa(at)+"/ns/net", "/proc/"+strconv.Itoa(os.Getpid())+"/exe")
	cmd.Env, cmd.Stderr = append(os.Environ(), responder+"=1"), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
}

// respond answers all requests that arrive on br0.
func respond() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	device, err := net.InterfaceByName("br0")
	if err != nil {
		return err
	}
	at := unix.SockaddrLinklayer{Protocol: network(unix.ETH_P_ALL), Ifindex: device.Index}
	if err := unix.Bind(fd, &at); err != nil {
		return err
	}
	frame := make([]byte, 2000)
	for {
		n, from, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			return err
		}
		if link, is := from.(*unix.SockaddrLinklayer); !is || link.Pkttype == unix.PACKET_OUTGOING || n < arpEnd || frame[arpOperation+1] != operRequest {
			continue
		}
		if err := unix.Sendto(fd, reply(netip.AddrFrom4([4]byte(frame[arpTargetIP:])), self), 0, &at); err != nil {
			return err
		}
	}
}

func totalLost(p *Prober) (n uint64) {
	for _, path := range p.Paths() {
		n += path.Lost
	}
	return n
}

func total(p *Prober) (n uint64) {
	for _, path := range p.Paths() {
		n += path.Sent
	}
	return n
}

// cpu is what this process has used, in user and kernel mode.
func cpu() time.Duration {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
