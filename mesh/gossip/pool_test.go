package gossip

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/gremesh/gremesh/mesh/lease"
)

func TestAHostWhosePoolIsADefaultTakesThatOfItsMesh(t *testing.T) {
	tm := newTestMesh(t)
	mesh := lease.Pool{Prefix: netip.MustParsePrefix("10.42.0.0/16"), Bits: 25}
	first := tm.config(1)
	first.Settings.Pool = mesh
	h1 := tm.start(first)
	eventually(t, "h1 founded", func() bool { return h1.View().Self.Subnet.IsValid() })

	cfg := tm.config(2)
	cfg.Adapt = true
	h2 := tm.start(cfg)
	var other *PoolError
	if err := h2.wait(); !errors.As(err, &other) || other.Pool != mesh {
		t.Fatalf("it ends with %v, want the pool of the mesh", err)
	}
	if problems := h1.View().Problems; len(problems) > 0 {
		t.Errorf("the mesh has refused it: %+v", problems)
	}
	cfg.Settings.Pool = other.Pool
	h2 = tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	if pool, err := PoolFor(cfg.Dir); err != nil || pool != mesh {
		t.Errorf("the state says %v, %v", pool, err)
	}
	eventually(t, "it says which pool it has", func() bool { return h2.delegate.meta.Load().Pool == mesh.Prefix })
	if pool, err := PoolFor(t.TempDir()); err != nil || pool.Prefix.IsValid() {
		t.Errorf("a host without a state: %v, %v", pool, err)
	}
}

func TestAHostWhosePoolIsADefaultJoinsAtOnceIfTheMeshHasTheSame(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(2)
	cfg.Adapt = true
	h1, h2 := tm.start(tm.config(1)), tm.start(cfg)
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
}
