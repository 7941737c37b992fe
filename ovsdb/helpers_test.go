package ovsdb_test

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect runs a client for the test's time.
func connect(t testing.TB, o *ovs) *ovsdb.Client {
	t.Helper()
	c, _ := connectUntil(t, o)
	return c
}

func connectUntil(t testing.TB, o *ovs) (*ovsdb.Client, func()) {
	t.Helper()
	c := ovsdb.New(ovsdb.Config{DB: o.DB, Bridge: "br0", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	stop := run(t, c)
	eventually(t, soon, "the client is connected", func() bool {
		_, err := c.Observe(t.Context())
		return err == nil
	})
	return c, stop
}

// run runs a client until the test ends, or stop is called.
func run(t testing.TB, c *ovsdb.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

func observe(t testing.TB, c *ovsdb.Client) ovsdb.State {
	t.Helper()
	have, err := c.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// reconcile applies what differs and returns how much it was.
func reconcile(t testing.TB, c *ovsdb.Client, want ovsdb.Spec) int {
	t.Helper()
	changes := ovsdb.Diff(want, observe(t, c))
	if err := c.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	return len(changes)
}

// settled fails unless nothing differs any more.
func settled(t testing.TB, c *ovsdb.Client, want ovsdb.Spec) {
	t.Helper()
	for _, change := range ovsdb.Diff(want, observe(t, c)) {
		t.Errorf("still differs: %s", change)
	}
}

// tunnel leads to host n of the mesh, 192.168.248.n with subnet 172.17.n.0/24.
func tunnel(n int) ovsdb.Tunnel {
	name := "h" + itoa(n)
	return ovsdb.Tunnel{
		Name:   "gre" + itoa(n),
		Type:   "gre",
		Remote: netip.MustParseAddr("192.168.248." + itoa(n)),
		Local:  netip.MustParseAddr("192.168.248.42"),
		BFD:    true,
		Peer: ovsdb.Peer{ID: "id-" + name, Name: name,
			Subnet: netip.MustParsePrefix("172.17." + itoa(n) + ".0/24")},
	}
}

func mesh(peers ...int) ovsdb.Spec {
	s := ovsdb.Spec{Bridge: "br0", Datapath: "netdev", MTU: 1462, Mesh: "blue"}
	for _, n := range peers {
		s.Tunnels = append(s.Tunnels, tunnel(n))
	}
	return s
}

func port(t testing.TB, have ovsdb.State, name string) ovsdb.Port {
	t.Helper()
	for _, p := range have.Ports {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no port %s", name)
	return ovsdb.Port{}
}
