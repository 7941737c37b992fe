package gossip

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/gremesh/gremesh/mesh/lease"
)

func TestAHostWhosePoolIsADefaultTakesThatOfItsMesh(t *testing.T) {
	tm := newTestMesh(t)
	mesh := lease.Space{Pool: netip.MustParsePrefix("10.42.0.0/16"), Bits: 25}
	first := tm.config(1)
	first.Settings.Space = mesh
	h1 := tm.start(first)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })

	cfg := tm.config(2)
	cfg.Adapt = true
	h2 := tm.start(cfg)
	var other *SpaceError
	if err := h2.wait(); !errors.As(err, &other) || other.Space != mesh {
		t.Fatalf("it ends with %v, want the space of the mesh", err)
	}
	if problems := h1.View().Problems; len(problems) > 0 {
		t.Errorf("the mesh has refused it: %+v", problems)
	}
	cfg.Settings.Space = other.Space
	h2 = tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	if space, err := SpaceOf(cfg.Dir); err != nil || space != mesh {
		t.Errorf("the state says %v, %v", space, err)
	}
	eventually(t, "it says which pool it has", func() bool { return h2.delegate.meta.Load().Pool == mesh.Pool })
	if space, err := SpaceOf(t.TempDir()); err != nil || space.Pool.IsValid() {
		t.Errorf("a host without a state: %v, %v", space, err)
	}
}

func TestAHostWhosePoolIsADefaultJoinsAtOnceIfTheMeshHasTheSame(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(2)
	cfg.Adapt = true
	h1, h2 := tm.start(tm.config(1)), tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
}
