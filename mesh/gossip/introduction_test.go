package gossip

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// TestAProcessThatEndsAtOnceIsHeard: members keep the packets of a process back
// until it has answered a challenge.
func TestAProcessThatEndsAtOnceIsHeard(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	if err := h2.stop(); err != nil { // without leaving
		t.Fatal(err)
	}
	eventually(t, "h2 has failed", func() bool { return livenessAt(h1, h2.ID()) == mesh.Failed })
	again := tm.start(cfg)
	eventually(t, "h2 has met h1", func() bool {
		met := false
		owned(t, again, func() { met = again.isMember(h1.ID()) })
		return met
	})
	if err := again.Leave(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	introduced := false
	owned(t, again, func() { _, introduced = again.answered[h1.ID()] })
	if !introduced {
		t.Error("h2 has left before it answered h1")
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h1 knows that h2 gave up its subnet", func() bool {
		_, ok := leaseOf(t, h1, "h2")
		return !ok
	})
}

func TestIntroductionWaitsOnlyForMembersAndNotForEver(t *testing.T) {
	t.Parallel() // it waits for a member that does not answer
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 has a lease", func() bool { return h1.View().Self.Subnet.IsValid() })
	took := func(ctx context.Context) (time.Duration, error) {
		began := time.Now()
		err := h1.introduce(ctx)
		return time.Since(began), err
	}
	if d, err := took(t.Context()); err != nil || d >= introduceTimeout {
		t.Errorf("a host without members took %s: %v", d, err)
	}
	silent := lease.ID{9}
	owned(t, h1, func() {
		h1.members[silent] = member{id: silent, underlay: netip.AddrPortFrom(tm.address(9).Addr(), tm.port)}
	})
	if d, err := took(t.Context()); err != nil && !errors.Is(err, context.DeadlineExceeded) || d < introduceTimeout {
		t.Errorf("a member that does not answer was waited for for %s: %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, _ := took(ctx); d >= introduceTimeout {
		t.Errorf("after the end of its context it took %s", d)
	}
	owned(t, h1, func() { h1.answered[silent] = time.Now().Add(-answerDelay) })
	if d, err := took(t.Context()); err != nil || d >= introduceTimeout {
		t.Errorf("with all members answered it took %s: %v", d, err)
	}
	owned(t, h1, func() { delete(h1.members, silent); delete(h1.answered, silent) })
}
