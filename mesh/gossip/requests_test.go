package gossip

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// A request has no deadline of its own here: it must not outlive what serves it.
func TestRequestsEndWithGossip(t *testing.T) {
	tm := newTestMesh(t)
	node := tm.startAnswering(1, 0, released())
	eventually(t, "a lease", func() bool { return whole(node) })
	ended := make(chan struct{}, 3)
	for _, ask := range []func() error{
		func() error { _, err := node.Leases(context.Background()); return err },
		func() error { _, err := node.Survey(context.Background()); return err },
		func() error { _, err := node.Forget(context.Background(), "h9", mesh.ForgetAgreed); return err },
	} {
		go func() {
			for {
				if err := ask(); errors.Is(err, errStopped) {
					ended <- struct{}{}
					return
				}
			}
		}()
	}
	// Another process with this host's ID has been running for longer, and has answered.
	other := netip.MustParseAddrPort("127.0.0.9:7946")
	node.delegate.inbox.put(event{olderDuplicate: &other})
	var twin *DuplicateIDError
	if err := node.wait(); !errors.As(err, &twin) {
		t.Fatalf("gossip ended with %v", err)
	}
	for range 3 {
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatal("a request hangs though gossip has ended")
		}
	}
}

func TestRequestsEndWhereGossipCouldNotBegin(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	cfg.Underlay = netip.MustParseAddrPort("192.0.2.1:1") // is not here
	node := tm.start(cfg)
	if err := node.wait(); err == nil {
		t.Fatal("it listens where it can't")
	}
	if _, err := node.Leases(context.Background()); !errors.Is(err, errStopped) {
		t.Errorf("a request ends with %v", err)
	}
}
