package filter

import (
	"context"
	"errors"
	"sync"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// component is the name of the part of the machine that this package keeps.
const component = "filter"

// Component reconciles gremesh's nftables tables and its rules in DOCKER-USER.
// Its state is an Observation.
type Component[In any] struct {
	Host Machine
	// Spec returns the rules that the packet filter should have. Plan adapts
	// them to the surroundings.
	Spec   func(*In) Rules
	Around Around
}

// Machine is the packet filter that a component reconciles, see Host.
type Machine interface {
	Observe(context.Context) (State, error)
	Apply(context.Context, []Change) error
	Watch(ctx context.Context, notify func()) error
}

// Around observes what the rules depend on and the packet filter does not know.
type Around interface {
	Observe(ctx context.Context) (Surroundings, error)
	Watch(ctx context.Context, notify func()) error
}

// Observation is the packet filter and its surroundings.
type Observation struct {
	State
	Surroundings
	Unable error // why nothing can be read or changed: this host has no nft, or no nftables in its kernel
}

// Name returns "filter".
func (c *Component[In]) Name() string { return component }

// After returns the components on which the rules depend: the tunnels of other
// programs, and whether Docker uses the subnet. The gate changes the same tables.
func (c *Component[In]) After() []string { return []string{"gate", "ovs", "docker"} }

// Observe returns an Observation.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	around, err := c.Around.Observe(ctx)
	if err != nil {
		return nil, err
	}
	s, err := observe(ctx, c.Host)
	s.Surroundings = around
	return s, err
}

func observe(ctx context.Context, h Machine) (Observation, error) {
	have, err := h.Observe(ctx)
	if errors.Is(err, ErrUnable) {
		return Observation{Unable: err}, nil
	}
	return Observation{State: have}, err
}

// Plan compares with Diff.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	have := s.(Observation)
	if req.Desired == nil {
		return plan(Rules{}, have, Diff)
	}
	want := c.rules(req.Desired, req.Upstream, have)
	p := plan(want, have, Diff)
	p.Problems = Problems(want, have)
	return p
}

// Rules returns the rules that Plan compared a snapshot with. The snapshot must
// have a desired state.
func (c *Component[In]) Rules(s reconcile.Snapshot[In]) Rules {
	return c.rules(s.Desired, s.Upstream, s.State.(Observation))
}

func (c *Component[In]) rules(desired *In, upstream map[string]reconcile.Result, have Observation) Rules {
	return c.Spec(desired).adapted(viewOf(upstream, have.Surroundings))
}

// plan returns the changes that a function finds between two states.
func plan(want Rules, have Observation, diff func(Rules, State) []Change) reconcile.Plan {
	var p reconcile.Plan
	if have.Unable != nil {
		return p
	}
	for _, c := range diff(want, have.State) {
		p.Changes = append(p.Changes, reconcile.Change{Key: c.Key, From: c.Is, To: c.Should, Commands: c.Commands, Op: c})
	}
	return p
}

// Apply makes the changes with nft and iptables.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	return applyAll(ctx, c.Host, changes)
}

func applyAll(ctx context.Context, h Machine, changes []reconcile.Change) error {
	own := make([]Change, 0, len(changes))
	for _, change := range changes {
		own = append(own, change.Op.(Change))
	}
	return h.Apply(ctx, own)
}

// Watch notifies of nftables' notices and of the surroundings. The Host must
// run.
func (c *Component[In]) Watch(ctx context.Context, notify func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var around error
	var both sync.WaitGroup
	both.Go(func() {
		defer cancel()
		around = c.Around.Watch(ctx, notify)
	})
	err := c.Host.Watch(ctx, notify)
	cancel()
	both.Wait()
	if around != nil && !errors.Is(around, context.Canceled) {
		return around
	}
	return err
}

// Investigate names the command that shows who changes the packet filter.
func (c *Component[In]) Investigate(reconcile.Key) string {
	return "find the program and stop it: `nft monitor` shows when, and the process (of iptables-legacy nothing)"
}

// Gate lets the packets of new peers in before Open vSwitch has tunnels to them,
// so that none is lost. Component takes away what goes, after the tunnels. Its
// state is an Observation without surroundings.
type Gate[In any] struct {
	Host Machine
	Spec func(*In) Rules
}

// Name returns "gate".
func (g *Gate[In]) Name() string { return "gate" }

// After returns the guard, which decides whether Open vSwitch is changed at all.
func (g *Gate[In]) After() []string { return []string{"guard"} }

// Observe returns an Observation without surroundings.
func (g *Gate[In]) Observe(ctx context.Context) (reconcile.State, error) { return observe(ctx, g.Host) }

// Plan returns only changes that let more through.
func (g *Gate[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	if req.Desired == nil {
		return reconcile.Plan{}
	}
	return plan(g.Spec(req.Desired), s.(Observation), Opening)
}

// Apply makes the changes with nft.
func (g *Gate[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	return applyAll(ctx, g.Host, changes)
}

// Watch notifies of nftables' notices. The Host must run.
func (g *Gate[In]) Watch(ctx context.Context, notify func()) error {
	return g.Host.Watch(ctx, notify)
}
