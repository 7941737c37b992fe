package gossip

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// The loop begins when a host is ready, and applies the subnet that it sees
// then.
func TestAHostThatWasForgottenAppliesNothingOfItsOldSubnet(t *testing.T) {
	tm := newTestMesh(t)
	h1, cfg := tm.start(tm.config(1)), tm.config(2)
	h2 := tm.start(cfg)
	h4 := tm.start(tm.config(4))
	eventually(t, "3 hosts", func() bool { return whole(h1, h2, h4) })
	subnet := h2.View().Self.Subnet
	if err := h2.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 is forgotten", func() bool {
		_, err := h1.Forget(t.Context(), "h2", mesh.ForgetAgreed)
		return err == nil
	})
	cfg3 := tm.config(3)
	cfg3.Fixed = subnet
	h3 := tm.start(cfg3)
	eventually(t, "h3 has its subnet", func() bool { return h3.View().Self.Subnet == subnet })
	for i := range 5 {
		again := cfg
		again.Dir = filepath.Join(t.TempDir(), fmt.Sprint(i))
		if err := os.CopyFS(again.Dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		node, err := New(again)
		if err != nil {
			t.Fatal(err)
		}
		if full := i%2 > 0; full { // what it hears can't be written
			if err := os.RemoveAll(again.Dir); err != nil {
				t.Fatal(err)
			}
		}
		h2 := tm.run(node, again.Name)
		<-h2.Ready()
		if got := h2.View().Self.Subnet; got.IsValid() {
			t.Errorf("it would apply %s, which is h3's", got)
		}
		if err := h2.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Before a host has founded its mesh all others get in, and before they have
// joined theirs they do afterwards, too.
func TestAFounderTakesNobodyOfAnotherMeshForAPeer(t *testing.T) {
	tm := newTestMesh(t)
	n, err := New(tm.config(1))
	if err != nil {
		t.Fatal(err)
	}
	n.startLeasing()
	for name, events := range map[string][]event{
		"it was let in before":       {{joined: &member{id: lease.ID{2}, underlay: tm.address(2), meta: meta{Mesh: "another", Name: "h2"}}}},
		"it was of no mesh at first": {{joined: &member{id: lease.ID{3}, underlay: tm.address(3)}}, {refused: &refusal{id: lease.ID{3}, underlay: tm.address(3), why: otherMesh}}},
	} {
		if _, err := n.handle(events); err != nil {
			t.Fatal(err)
		}
		if len(n.members) != 0 || !strings.Contains(fmt.Sprint(n.problems.list()), otherMesh) {
			t.Errorf("%s: members %v, problems %v", name, n.members, n.problems.list())
		}
	}
	clone := []event{{joined: &member{id: lease.ID{4}, underlay: tm.address(4)}}, {refused: &refusal{id: lease.ID{4}, underlay: tm.address(5), why: otherMesh}}}
	if _, err := n.handle(clone); err != nil || len(n.members) != 1 {
		t.Errorf("another host of its ID takes a member's place: %v, %v", n.members, err)
	}
}
