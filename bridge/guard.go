package bridge

import (
	"context"
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Guard takes br0 out of a docker0 whose address is not the bip, before Open
// vSwitch gets tunnels for it. After this host has renumbered, docker0 keeps its
// old address until Docker is restarted, and another host may have that address
// by now: two hosts would answer for it. Its state is a State.
type Guard[In any] struct {
	Kernel Machine
	Spec   func(*In) Spec
	// Skip reports whether docker0 has been in the mesh with its bip. Then
	// Component corrects its address, and br0 stays. Nil: never.
	Skip func(*In) bool
}

// Name returns "guard".
func (g *Guard[In]) Name() string { return "guard" }

// After returns nothing: the guard runs first.
func (g *Guard[In]) After() []string { return nil }

// Observe returns a State.
func (g *Guard[In]) Observe(ctx context.Context) (reconcile.State, error) {
	return g.Kernel.Observe(ctx)
}

// Plan takes away br0 and the routes if docker0 has another address. Component
// puts them back once docker0 has the bip.
func (g *Guard[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	have := s.(State)
	if req.Desired == nil || g.Skip != nil && g.Skip(req.Desired) || !have.Bridge.Exists || slices.Contains(have.Addrs, g.Spec(req.Desired).Bip) {
		return reconcile.Plan{}
	}
	return plan(Spec{}, have)
}

// Apply makes the changes with netlink.
func (g *Guard[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	return applyAll(ctx, g.Kernel, changes)
}

// Watch notifies of addresses and links that change. The Kernel must run.
func (g *Guard[In]) Watch(ctx context.Context, notify func()) error {
	return g.Kernel.Watch(ctx, notify)
}

// applyAll applies changes that plan has made.
func applyAll(ctx context.Context, k Machine, changes []reconcile.Change) error {
	own := make([]Change, 0, len(changes))
	for _, change := range changes {
		own = append(own, change.Op.(Change))
	}
	return k.Apply(ctx, own)
}
