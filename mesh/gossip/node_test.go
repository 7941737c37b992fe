package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// TestMain fails when goroutines are left. memberlist's Shutdown does not wait
// for a probe that is under way, which ends within seconds.
func TestMain(m *testing.M) {
	if config, ok := os.LookupEnv(floodedHost); ok {
		if err := beFlooded(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	for deadline := time.Now().Add(10 * time.Second); code == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var testSettings = Settings{
	Pool:   lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24},
	Tunnel: mesh.TunnelConfig{Type: "gre"},
}

// testMesh runs nodes on loopback addresses, each with real memberlist.
type testMesh struct {
	t    *testing.T
	port uint16
}

func newTestMesh(t *testing.T) *testMesh {
	// A port that is free on one loopback address is free on all in practice.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return &testMesh{t: t, port: uint16(listener.Addr().(*net.TCPAddr).Port)}
}

func (tm *testMesh) config(i int) Config {
	cfg := Config{
		Name:     fmt.Sprintf("h%d", i),
		Underlay: tm.address(i),
		Keys:     [][]byte{bytes.Repeat([]byte{7}, 32)},
		Settings: testSettings,
		Dir:      tm.t.TempDir(),
		Log:      newLog(),
	}
	if i == 1 {
		cfg.Bootstrap = true
	} else {
		cfg.Seeds = []string{tm.address(1).String()}
	}
	return cfg
}

func (tm *testMesh) address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}), tm.port)
}

// running is a node and the end of its Run.
type running struct {
	*Node
	wait func() error // for Run to end by itself
	stop func() error
}

func (tm *testMesh) start(cfg Config) *running {
	tm.t.Helper()
	node, err := New(cfg)
	if err != nil {
		tm.t.Fatal(err)
	}
	return tm.run(node, cfg.Name)
}

func (tm *testMesh) run(node *Node, name string) *running {
	if node.seeking.lasts == searchFor { // a test's own value stays
		node.seeking.lasts = 20 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	r := &running{Node: node, wait: sync.OnceValue(func() error { return <-done })}
	r.stop = func() error { cancel(); return r.wait() }
	tm.t.Cleanup(func() {
		_ = r.stop()
		if tm.t.Failed() {
			tm.t.Logf("%s: %+v\n%s", name, node.View(), node.cfg.Log.Handler().(logged).buffer)
		}
	})
	return r
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// whole reports whether all nodes hold distinct leases and see each other.
func whole(nodes ...*running) bool {
	subnets := make(map[netip.Prefix]bool)
	for _, n := range nodes {
		view := n.View()
		subnets[view.Self.Subnet] = true
		alive := 0
		for _, p := range view.Peers {
			if p.Liveness == mesh.Alive && p.Subnet.IsValid() && !p.Cut {
				alive++
			}
		}
		if !view.Self.Subnet.IsValid() || alive != len(nodes)-1 {
			return false
		}
	}
	return len(subnets) == len(nodes)
}

func TestHostsThatStartInTheSameInstantTakeDistinctSubnets(t *testing.T) {
	tm := newTestMesh(t)
	var nodes []*running
	begin := time.Now()
	for i := range 8 {
		nodes = append(nodes, tm.start(tm.config(i+1)))
	}
	eventually(t, "8 hosts hold distinct leases and see each other", func() bool { return whole(nodes...) })
	t.Logf("whole after %s", time.Since(begin))
}

func TestARestartedHostKeepsItsSubnetUnderANewName(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	before := h2.View().Self
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Name = "renamed"
	h2 = tm.start(cfg)
	eventually(t, "2 hosts again", func() bool { return whole(h1, h2) && h1.View().Peers[0].Name == "renamed" })
	if after := h2.View().Self; after.Subnet != before.Subnet || after.ID != before.ID {
		t.Errorf("after the restart it is %+v, before %+v", after, before)
	}
}

func TestAFailedHostIsFailedAndOneThatSaidGoodbyeHasLeft(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2, h3 := tm.start(tm.config(1)), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	if err := h3.Leave(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	is := func(id lease.ID) mesh.Liveness {
		for _, p := range h1.View().Peers {
			if p.ID == id {
				return p.Liveness
			}
		}
		return ""
	}
	eventually(t, "h3 has left", func() bool { return is(h3.ID()) == mesh.Left })
	eventually(t, "h2 has failed", func() bool { return is(h2.ID()) == mesh.Failed })
}

func TestAHostThatReleasedItsSubnetFreesIt(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	subnet := h2.View().Self.Subnet
	if err := h2.Leave(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	cfg := tm.config(3)
	cfg.Fixed = subnet
	h3 := tm.start(cfg)
	eventually(t, "h3 holds what h2 released", func() bool { return h3.View().Self.Subnet == subnet })
}

func TestAHostWithOtherSettingsIsRefusedAtBothEnds(t *testing.T) {
	for name, change := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"pool":       {func(c *Config) { c.Settings.Pool.Prefix = netip.MustParsePrefix("172.16.0.0/16") }, "pool is 172.17.0.0/16 there and 172.16.0.0/16 here"},
		"prefix":     {func(c *Config) { c.Settings.Pool.Bits = 25 }, "prefix is 24 there and 25 here"},
		"gossip key": {func(c *Config) { c.Keys = [][]byte{bytes.Repeat([]byte{8}, 32)} }, "another key"},
		"plain text": {func(c *Config) { c.Keys = nil }, "another key"},
	} {
		t.Run(name, func(t *testing.T) {
			tm := newTestMesh(t)
			h1, cfg := tm.start(tm.config(1)), tm.config(2)
			eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
			change.change(&cfg)
			h2 := tm.start(cfg)
			var refused *RefusedError
			if err := h2.wait(); !errors.As(err, &refused) || !strings.Contains(err.Error(), change.says) {
				t.Errorf("h2 ends with %v, want a refusal that says %q", err, change.says)
			}
			eventually(t, "h1 says so too", func() bool { return len(h1.View().Problems) > 0 })
			if len(h1.View().Peers) != 0 {
				t.Errorf("h1 has let h2 in: %+v", h1.View().Peers)
			}
		})
	}
}

func TestAClonedDiskIsRefusedAndBothAreToldOfEachOther(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	clone := cfg
	clone.Underlay = tm.address(3)
	h3 := tm.start(clone)
	var twin *DuplicateIDError
	if err := h3.wait(); !errors.As(err, &twin) || twin.Also != cfg.Underlay {
		t.Errorf("the copy ends with %v, want a DuplicateIDError that names %s", err, cfg.Underlay)
	}
	eventually(t, "the original names the copy", func() bool {
		problems := h2.View().Problems
		return len(problems) > 0 && strings.Contains(problems[0].What, clone.Underlay.Addr().String())
	})
	if !whole(h1, h2) {
		t.Error("the mesh has suffered")
	}
}

// logged is a handler and what it has written.
type logged struct {
	slog.Handler
	buffer *syncBuffer
}

func newLog() *slog.Logger {
	buffer := &syncBuffer{}
	return slog.New(logged{slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: slog.LevelDebug}), buffer})
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
