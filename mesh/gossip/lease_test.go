package gossip

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

func leaseOf(t *testing.T, n *running, name string) (mesh.Lease, bool) {
	t.Helper()
	leases, err := n.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		if l.Name == name {
			return l, true
		}
	}
	return mesh.Lease{}, false
}

func TestLeasesNamesWhoHasWhat(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	l, ok := leaseOf(t, h1, "h2")
	if !ok || l.Subnet != h2.View().Self.Subnet || l.State != "held" || l.Host != "alive" || l.ID != h2.ID().String() ||
		time.Since(l.Since) > time.Minute || time.Since(l.LastSeen) > time.Minute {
		t.Errorf("h1 says of h2: %+v", l)
	}
}

func TestOneOfTwoThatIsGoneForGoodBlocksNoOneOnceItIsForgotten(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	forget := func(n *running, how mesh.ForgetHow) (mesh.Forgotten, error) { return n.Forget(t.Context(), "h2", how) }
	for _, how := range []mesh.ForgetHow{mesh.ForgetAgreed, mesh.ForgetForced, mesh.ForgetPurge} {
		if _, err := forget(h1, how); err == nil || !strings.Contains(err.Error(), "alive") {
			t.Errorf("a host that is alive is forgotten (%q): %v", how, err)
		}
	}
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	h3 := tm.start(tm.config(3))
	eventually(t, "h3 waits for h2", func() bool { return strings.Contains(h3.View().Waiting, "no answer from h2") })
	eventually(t, "one of two is no majority", func() bool {
		_, err := forget(h1, mesh.ForgetAgreed)
		return err != nil && strings.Contains(err.Error(), "1 of 2 hosts with a lease agree") && strings.Contains(err.Error(), "--force h2")
	})
	if done, err := forget(h1, mesh.ForgetForced); err != nil || !done.Forced {
		t.Errorf("removed by force: %+v, %v", done, err)
	}
	eventually(t, "the other host says so, and still counts h2", func() bool {
		return strings.Contains(strings.Join(problemTexts(h3), " "), "the operator of h1 removed h2") && !h3.View().Self.Subnet.IsValid()
	})
	if _, err := forget(h3, mesh.ForgetForced); err != nil {
		t.Errorf("removed by force there, too: %v", err)
	}
	eventually(t, "h3 holds a lease", func() bool { return h3.View().Self.Subnet.IsValid() })
	for _, n := range []*running{h1, h3} {
		eventually(t, "with two of three, h2 is forgotten by consent", func() bool { _, ok := leaseOf(t, n, "h2"); return !ok })
		eventually(t, "the problem is over", func() bool { return len(problemTexts(n)) == 0 })
	}
	if done, err := forget(h1, mesh.ForgetAgreed); err != nil || !done.Already {
		t.Errorf("forgetting it once more: %+v, %v", done, err)
	}
	if _, err := h1.Forget(t.Context(), "h9", mesh.ForgetAgreed); err == nil || !strings.Contains(err.Error(), "no host") {
		t.Errorf("forgetting a host that never was: %v", err)
	}
}

func TestALeaseRunsOutAfterItsTimeToLiveAlsoAcrossARestart(t *testing.T) {
	tm := newTestMesh(t)
	cfg1, cfg3 := tm.config(1), tm.config(3)
	cfg1.TTL, cfg3.TTL = 3*time.Second, 3*time.Second
	h1, h2 := tm.start(cfg1), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	subnet := h2.View().Self.Subnet
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h1 finds h2 silent", func() bool { l, _ := leaseOf(t, h1, "h2"); return l.Host == "failed" })
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	h1 = tm.start(cfg1)
	eventually(t, "h2's lease has run out", func() bool { l, _ := leaseOf(t, h1, "h2"); return l.State == "expired" })
	cfg3.Fixed = subnet
	h3 := tm.start(cfg3)
	eventually(t, "h3 has what was h2's", func() bool { return h3.View().Self.Subnet == subnet })
}

func TestRenumberMovesAHostAndItsPeersFollow(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	to := netip.MustParsePrefix("172.17.200.0/24")
	if got, err := h2.Renumber(t.Context(), to); err != nil || got != to {
		t.Fatalf("renumber: %s, %v", got, err)
	}
	eventually(t, "h1 follows", func() bool { return h1.View().Peers[0].Subnet == to })
	if _, err := h1.Renumber(t.Context(), to); err == nil || !strings.Contains(err.Error(), "held by h2") {
		t.Errorf("renumber to another's subnet: %v", err)
	}
	before := h2.View().Self.Subnet
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := h2.Renumber(ctx, netip.Prefix{}); err == nil || h2.View().Self.Subnet != before {
		t.Errorf("without a majority it renumbered: %v, %s", err, h2.View().Self.Subnet)
	}
}

func TestAHostWhoseStateIsDamagedLearnsItsLeaseFromItsPeers(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"emptied":   func(file string) error { return os.Truncate(file, 0) },
		"cut short": func(file string) error { return os.Truncate(file, 100) },
		"removed":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			tm := newTestMesh(t)
			h1, cfg := tm.start(tm.config(1)), tm.config(2)
			h2 := tm.start(cfg)
			eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
			before := h2.View().Self
			if err := h2.stop(); err != nil {
				t.Fatal(err)
			}
			if err := damage(filepath.Join(cfg.Dir, "state.json")); err != nil {
				t.Fatal(err)
			}
			cfg.Bootstrap = true // founds nothing all the same
			h2 = tm.start(cfg)
			eventually(t, "2 hosts again", func() bool { return whole(h1, h2) })
			if after := h2.View().Self; after.ID != before.ID || after.Subnet != before.Subnet {
				t.Errorf("it is %+v, and was %+v", after, before)
			}
		})
	}
}

func TestAHostThatCannotWriteItsStateAppliesNothing(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	dir := filepath.Join(cfg.Dir, "state")
	cfg.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// From now on every write fails: its directory is gone.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	h1 := tm.run(node, cfg.Name)
	eventually(t, "the problem is shown", func() bool { return len(h1.View().Problems) > 0 })
	if h1.View().Self.Subnet.IsValid() {
		t.Error("a lease is shown that is not durable")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on when it can write again", func() bool {
		return h1.View().Self.Subnet.IsValid() && len(h1.View().Problems) == 0
	})
}

func TestAResetIdentityMakesACloneAHostOfItsOwn(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	clone := tm.config(3)
	if err := os.CopyFS(clone.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(clone.Dir, "id")); err != nil { // as a reset that was interrupted leaves it
		t.Fatal(err)
	}
	old, fresh, err := ResetIdentity(clone.Dir)
	if err != nil || old != h2.ID() || fresh == old {
		t.Fatalf("%s became %s, %v", old, fresh, err)
	}
	h3 := tm.start(clone)
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
}

// A clone that starts where it can't see the original takes itself for it.
func TestOfTwoRunningClonesTheYoungerStops(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	h1 := tm.start(cfg)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })
	clone := cfg
	clone.Dir = t.TempDir()
	if err := os.CopyFS(clone.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	clone.Underlay, clone.Bootstrap = tm.address(3), true
	eventually(t, "h1 is older by more than a second", func() bool { return time.Since(h1.started) > 1100*time.Millisecond })
	h3 := tm.start(clone)
	eventually(t, "the copy holds the lease too", func() bool { return h3.View().Self.Subnet.IsValid() })
	third := tm.config(2)
	third.Seeds = append(third.Seeds, tm.address(3).String())
	tm.start(third)
	var twin *DuplicateIDError
	if err := h3.wait(); !errors.As(err, &twin) {
		t.Errorf("the copy ends with %v, want a DuplicateIDError", err)
	}
	eventually(t, "the original names the copy", func() bool {
		return strings.Contains(strings.Join(problemTexts(h1), " "), clone.Underlay.Addr().String())
	})
}

func problemTexts(n *running) []string {
	var texts []string
	for _, p := range n.View().Problems {
		texts = append(texts, p.What)
	}
	return texts
}

func TestAFirstHostThatLostItsStateFoundsNoSecondMeshUnnoticedAndJoinsWhenToldTo(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	h1, h2, h3 := tm.start(cfg), tm.start(tm.config(2)), tm.start(tm.config(3))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h3) })
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	h1 = tm.start(cfg)
	// The others ask for the host that they miss: it takes part in their mesh when
	// they find it before it has founded one.
	eventually(t, "both sides say that there are two meshes, or there is one", func() bool {
		return h1.View().Mesh == h2.View().Mesh ||
			strings.Contains(strings.Join(problemTexts(h1), " "), "another mesh") &&
				strings.Contains(strings.Join(problemTexts(h2), " "), "another mesh")
	})
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Bootstrap, cfg.Seeds = false, []string{tm.address(2).String()}
	h1 = tm.start(cfg)
	eventually(t, "it has joined the first mesh", func() bool {
		return h1.View().Mesh == h2.View().Mesh && h1.View().Self.Subnet.IsValid()
	})
}

func TestAHostThatSaysGoodbyeBeforeItTakesPartReservesNothing(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	subnet := h2.View().Self.Subnet
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	if now, err := Reserved(cfg.Dir); err != nil || now != subnet {
		t.Errorf("%s is reserved, want %s; %v", now, subnet, err)
	}
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	node.left = true // as Leave does, before Run has met anyone
	node.machine.Leave(true)
	node.startLeasing()
	if own := node.machine.Own(); own.State != lease.Released || node.machine.Claiming() {
		t.Errorf("after its goodbye it is %v", own)
	}

	if now, err := Reserved(t.TempDir()); err != nil || now.IsValid() {
		t.Errorf("a host without a state has %s, %v", now, err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Reserved(cfg.Dir); err == nil {
		t.Error("a damaged state is taken for none")
	}
}
