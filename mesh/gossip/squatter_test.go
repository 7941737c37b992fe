package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
)

// squat answers at an address with words that are no gossip, as an SSH daemon
// or Docker's swarm does.
func squat(t *testing.T, tm *testMesh, i int) {
	t.Helper()
	listener, err := net.Listen("tcp", tm.address(i).String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
}

func TestAHostWithALeaseDoesNotEndByAnAnswerThatItCannotDecrypt(t *testing.T) {
	tm := newTestMesh(t)
	cfg := []Config{tm.config(1), tm.config(2), tm.config(3)}
	cfg[0].Bootstrap = true
	cfg[0].Seeds = []string{tm.address(3).String()} // so that a seed, too, is another's
	nodes := []*running{tm.start(cfg[0]), tm.start(cfg[1]), tm.start(cfg[2])}
	eventually(t, "3 hosts", func() bool { return whole(nodes...) })
	for _, n := range nodes {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	squat(t, tm, 3)
	// The second host is alone with the squatter first.
	cfg[1].Seeds = []string{tm.address(3).String()}
	h2 := tm.start(cfg[1])
	eventually(t, "it goes on, and says what it met", func() bool {
		select {
		case <-h2.Ready():
		default:
			return false
		}
		return strings.Contains(fmt.Sprint(h2.View().Problems), tm.address(3).Addr().String())
	})
	h1 := tm.start(cfg[0])
	eventually(t, "the two that are left are a mesh", func() bool {
		return h1.View().Self.Subnet.IsValid() && h2.View().Self.Subnet.IsValid() && alive(h1) == 1 && alive(h2) == 1
	})
}

func alive(n *running) (count int) {
	for _, p := range n.View().Peers {
		if p.Liveness == mesh.Alive {
			count++
		}
	}
	return count
}

func TestANewcomerEndsOnlyIfAllSeedsRefuse(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 has a mesh", func() bool { return h1.View().Self.Subnet.IsValid() })

	// A seed of another key beside one that is not there, and one without an address.
	squat(t, tm, 8)
	cfg := tm.config(2)
	cfg.Seeds = []string{tm.address(8).String(), tm.address(9).String(), "no-such-host.invalid"}
	h2 := tm.start(cfg)
	eventually(t, "it waits, and names each reason", func() bool {
		why := h2.View().Waiting
		return strings.Contains(why, tm.address(8).String()+": "+otherKey) &&
			strings.Contains(why, tm.address(9).String()+": connection refused") &&
			strings.Contains(why, "seed no-such-host.invalid: the name cannot be resolved")
	})
	// The missing seed appears, and it joins.
	later := tm.config(9)
	h9 := tm.start(later)
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h9) })

	// Both seeds refuse: one with another key, one with other settings.
	cfg = tm.config(4)
	cfg.Settings.Pool.Bits = 25
	cfg.Seeds = []string{tm.address(8).String(), tm.address(1).String()}
	var refusal *RefusedError
	if err := tm.start(cfg).wait(); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "prefix is 24 there and 25 here") {
		t.Errorf("it ends with %v", err)
	}
}

func TestAnUnresolvableSeedIsWaitedForLikeAnUnreachableOne(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(2)
	cfg.Seeds = []string{"no-such-host.invalid"}
	h2 := tm.start(cfg)
	eventually(t, "it waits", func() bool {
		return strings.Contains(h2.View().Waiting, "seed no-such-host.invalid: the name cannot be resolved")
	})
	cfg = tm.config(3)
	cfg.Seeds, cfg.Bootstrap = []string{"no-such-host.invalid"}, true
	h3 := tm.start(cfg)
	eventually(t, "a founder creates its mesh", func() bool { return h3.View().Self.Subnet.IsValid() })
}

// A host that lost its state was in a mesh: it does not end either.
func TestAHostThatLostItsStateWaitsForAnAnswerThatItCanRead(t *testing.T) {
	tm := newTestMesh(t)
	squat(t, tm, 1)
	cfg := tm.config(2)
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.store.write(node.store.stateFile(), bytes.Repeat([]byte("x"), 9)); err != nil {
		t.Fatal(err)
	}
	h2 := tm.start(cfg)
	eventually(t, "it waits", func() bool { return strings.Contains(h2.View().Waiting, otherKey) })
}
