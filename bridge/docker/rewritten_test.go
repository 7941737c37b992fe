package docker

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// compared is a dockerd that is stale if its network differs from daemon.json.
type compared struct{ have *State }

func (c compared) Observe(context.Context) (State, error) {
	s := *c.have
	s.NeedsRestart = differs(s.Network, s.Bip)
	return s, nil
}

func (c compared) Apply(_ context.Context, changes []Change) error {
	for _, change := range changes {
		if change.Key == keyOf("bip") {
			c.have.Bip = change.Should
		}
	}
	return nil
}

func (compared) Changed() <-chan struct{} { return nil }

func TestAnotherBipInTheFileAloneRestartsNothing(t *testing.T) {
	for network, want := range map[netip.Prefix]int{wanted.Bip: 0, netip.MustParsePrefix("172.17.0.1/16"): 1} {
		restarts := 0
		have := inOrder().State
		have.Bip, have.Network = "172.17.99.1/24", network
		c := &Component[Settings]{
			Daemon: compared{&have}, Spec: func(s *Settings) Settings { return *s },
			Restarter: NewRestarter(func(context.Context) error { restarts++; return nil }, &memoryMark{}),
		}
		e, err := reconcile.New(reconcile.Options[Settings]{
			Source: constant{}, Components: []reconcile.Component[Settings]{upstream{}, c}, Originals: none{}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		e.Reconcile(t.Context()) // one pass
		if err := c.Restarter.Wait(t.Context()); err != nil || restarts != want || have.Bip != wanted.Bip.String() {
			t.Errorf("dockerd has %s: %d restarts, daemon.json has %s, %v", network, restarts, have.Bip, err)
		}
	}
}

// upstream is an Open vSwitch that is in order.
type upstream struct{}

func (upstream) Name() string                                                         { return "ovs" }
func (upstream) After() []string                                                      { return nil }
func (upstream) Observe(context.Context) (reconcile.State, error)                     { return struct{}{}, nil }
func (upstream) Apply(context.Context, []reconcile.Change) error                      { return nil }
func (upstream) Watch(context.Context, func()) error                                  { return nil }
func (upstream) Plan(reconcile.Request[Settings], reconcile.State) (p reconcile.Plan) { return p }

// constant is a desired state that does not change.
type constant struct{}

func (constant) Desired() (*Settings, []reconcile.Problem) { return &wanted, nil }
func (constant) Changed() <-chan struct{}                  { return nil }
func (constant) Window() reconcile.Window                  { return reconcile.Window{} }

// none stores no originals.
type none struct{}

func (none) Load() (map[string]json.RawMessage, error) { return nil, nil }
func (none) Save(map[string]json.RawMessage) error     { return nil }
