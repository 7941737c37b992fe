package gossip

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// contains fails the test unless text has all parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// Only the agent of h2 is dead: on h1 its tunnel still carries packets.
func TestAHostWhoseTunnelCarriesPacketsIsNotForgotten(t *testing.T) {
	t.Parallel() // it waits for gossip to find hosts silent
	tm := newTestMesh(t)
	cfg := tm.config(1)
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var carries atomic.Bool
	node.CarriesWith(func(lease.ID) bool { return carries.Load() })
	h1, h2, h3 := tm.run(node, cfg.Name), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	carries.Store(true)
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 has failed", func() bool {
		return livenessAt(h1, h2.ID()) == mesh.Failed && livenessAt(h3, h2.ID()) == mesh.Failed
	})
	advice := []string{"its tunnel carries packets", "systemctl start gremesh", "gremesh forget --force h2"}
	if found, err := h1.FindForgotten(t.Context(), "h2"); err != nil {
		t.Error(err)
	} else {
		contains(t, found.Why, advice...)
	}
	if _, err := h1.Forget(t.Context(), "h2", mesh.ForgetAgreed); err == nil {
		t.Fatal("h1 forgets it")
	} else {
		contains(t, err.Error(), advice...)
	}
	if _, err := h3.Forget(t.Context(), "h2", mesh.ForgetAgreed); err == nil {
		t.Fatal("h3 forgets it")
	} else {
		contains(t, err.Error(), append(advice, "on h1")...)
	}
	if l, ok := leaseOf(t, h1, "h2"); !ok || l.State != "held" {
		t.Errorf("its lease is %+v", l)
	}
	carries.Store(false)
	if done, err := h3.Forget(t.Context(), "h2", mesh.ForgetAgreed); err != nil || done.Forced {
		t.Errorf("once nothing passes: %+v, %v", done, err)
	}
}

// Two of three hosts are lost, and with them the majority.
func TestTwoOfThreeThatAreGoneAreRemovedByForce(t *testing.T) {
	t.Parallel() // it waits for gossip to find hosts silent
	tm := newTestMesh(t)
	h1, h2, h3 := tm.start(tm.config(1)), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	for _, n := range []*running{h2, h3} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both have failed", func() bool {
		return livenessAt(h1, h2.ID()) == mesh.Failed && livenessAt(h1, h3.ID()) == mesh.Failed
	})
	h4 := tm.start(tm.config(4))
	eventually(t, "a newcomer waits", func() bool { return strings.Contains(h4.View().Waiting, "no answer from h2") })
	if _, err := h1.Forget(t.Context(), "h2", mesh.ForgetAgreed); err == nil {
		t.Error("one of three is a majority")
	} else {
		contains(t, err.Error(), "1 of 3 hosts with a lease agree", "h2 (127.0.0.2", "h3 (127.0.0.3", "gremesh forget --force h2")
	}
	for i, n := range []*running{h1, h4} {
		for _, name := range []string{"h2", "h3"} {
			if _, err := n.Forget(t.Context(), name, mesh.ForgetForced); err != nil {
				t.Errorf("%s by force: %v", name, err)
			}
		}
		if i == 0 {
			eventually(t, "the newcomer does not apply what was done by force elsewhere", func() bool {
				return strings.Contains(strings.Join(problemTexts(h4), " "), "the operator of h1 removed h3") && !h4.View().Self.Subnet.IsValid()
			})
		}
	}
	eventually(t, "the newcomer holds a lease", func() bool { return h4.View().Self.Subnet.IsValid() })
}

func TestRenumberWithoutAMajorityNamesWhoIsSilent(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2, h3 := tm.start(tm.config(1)), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	before := h1.View().Self.Subnet
	for _, n := range []*running{h2, h3} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := h1.Renumber(ctx, netip.Prefix{})
	if err == nil {
		t.Fatal("a single host of three grants")
	}
	contains(t, err.Error(), "granted by 0, no answer from h2 (127.0.0.2", "h3 (127.0.0.3", before.String()+" stays this host's")
	if strings.Contains(err.Error(), "deadline") {
		t.Errorf("it speaks of its own clock: %v", err)
	}
}

func TestTwoHostsWithOneNameAreToldApartByTheirIDs(t *testing.T) {
	t.Parallel() // it waits for gossip to find hosts silent
	tm := newTestMesh(t)
	cfg2, cfg3 := tm.config(2), tm.config(3)
	cfg3.Name = "h2"
	h1, h2, h3 := tm.start(tm.config(1)), tm.start(cfg2), tm.start(cfg3)
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	both := []string{"h2 (" + short(h2.ID()) + ") at 127.0.0.2", "h2 (" + short(h3.ID()) + ") at 127.0.0.3"}
	for _, n := range []*running{h1, h2, h3} {
		eventually(t, "each host warns", func() bool { return len(n.View().Problems) > 0 })
		contains(t, n.View().Problems[0].What, append(both, "2 hosts have the name h2")...)
		contains(t, n.View().Problems[0].Do, "node.name", "ID")
	}
	if _, err := h1.FindForgotten(t.Context(), "h2"); err == nil {
		t.Error("one of the two was taken for the other")
	} else {
		contains(t, err.Error(), both...)
	}
	for _, n := range []*running{h2, h3} {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both have failed", func() bool {
		return livenessAt(h1, h2.ID()) == mesh.Failed && livenessAt(h1, h3.ID()) == mesh.Failed
	})
	if _, err := h1.Forget(t.Context(), short(h3.ID()), mesh.ForgetAgreed); err == nil {
		t.Error("one of three is a majority")
	} else {
		contains(t, err.Error(), "h2 ("+short(h3.ID())+") is not forgotten", "gremesh forget --force "+short(h3.ID()))
	}
	done, err := h1.Forget(t.Context(), short(h3.ID()), mesh.ForgetForced)
	if err != nil || done.ID != h3.ID().String() {
		t.Errorf("by its ID: %+v, %v", done, err)
	}
}

// A process that is killed while it leaves has given up its subnet on the disk
// only. The next one has to know.
func TestAHostThatWasEndedBeforeItToldItsPeersKnowsIt(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	state, err := store{cfg.Dir}.loadState()
	if err != nil || IsLeavePending(cfg.Dir) {
		t.Fatalf("before it leaves: %v, untold %t", err, IsLeavePending(cfg.Dir))
	}
	if err := h2.Leave(t.Context(), true); err != nil || IsLeavePending(cfg.Dir) {
		t.Errorf("after it has left: %v, untold %t", err, IsLeavePending(cfg.Dir))
	}
	state.LeavePending = true // as it is between the write and the first message
	if err := (store{cfg.Dir}).save(state); err != nil || !IsLeavePending(cfg.Dir) {
		t.Errorf("killed meanwhile: %v, untold %t", err, IsLeavePending(cfg.Dir))
	}
	if IsLeavePending(t.TempDir()) {
		t.Error("a host without state has something to tell")
	}
}

func TestLeavingTwiceIsNoFailure(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	if left, _ := HasLeft(cfg.Dir); left {
		t.Error("it has left before it does")
	}
	for _, release := range []bool{false, false, true, true} {
		if err := h2.Leave(t.Context(), release); err != nil {
			t.Errorf("leave, release %t: %v", release, err)
		}
		if left, released := HasLeft(cfg.Dir); !left || released != release {
			t.Errorf("its disk says that it left: %t, gave up its subnet: %t", left, released)
		}
	}
}

// An operator who presses Ctrl-C has not forgotten the host, also not later.
func TestAForgetThatIsAbortedLeavesNothingUnderWay(t *testing.T) {
	t.Parallel() // it waits for gossip to find hosts silent
	tm := newTestMesh(t)
	h1, h2, h3 := tm.start(tm.config(1)), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	for _, h := range []*running{h2, h3} {
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both have failed", func() bool {
		return livenessAt(h1, h2.ID()) == mesh.Failed && livenessAt(h1, h3.ID()) == mesh.Failed
	})
	aborted, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // the owner may still take the question of a context that has ended
		var r lease.Record
		if err := h1.ask(t.Context(), func() lease.Effects {
			r, _ = h1.machine.Table().Get(h2.ID())
			h1.forgetting++
			return h1.machine.Forget(r.Host)
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := h1.awaitConsent(aborted, r, mesh.ForgetAgreed, mesh.Forgotten{}); err == nil {
			t.Fatal("one of three is a majority")
		}
		if err := h1.ask(t.Context(), func() lease.Effects {
			if _, ok := h1.machine.Removing(); ok || h1.forgetting != 0 {
				t.Errorf("the removal goes on: %t, %d requests", ok, h1.forgetting)
			}
			return lease.Effects{}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
