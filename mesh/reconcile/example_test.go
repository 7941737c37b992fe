package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// network is the desired state of the example: the peers to have tunnels to.
type network struct{ peers []string }

// tunnels is a component that keeps one tunnel to each peer.
type tunnels struct{ made []string }

func (t *tunnels) Name() string    { return "tunnels" }
func (t *tunnels) After() []string { return nil }

func (t *tunnels) Observe(context.Context) (reconcile.State, error) { return len(t.made), nil }

func (t *tunnels) Plan(req reconcile.Request[network], s reconcile.State) (plan reconcile.Plan) {
	for _, peer := range req.Desired.peers[s.(int):] {
		plan.Changes = append(plan.Changes, reconcile.Change{
			Key: reconcile.Key{Component: "tunnels", Kind: "tunnel", Name: peer}, To: "up", Peer: peer,
		})
	}
	return plan
}

func (t *tunnels) Apply(_ context.Context, changes []reconcile.Change) error {
	for _, c := range changes {
		t.made = append(t.made, c.Peer)
	}
	return nil
}

func (t *tunnels) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

// fixed is a desired state that does not change.
type fixed struct{ network }

func (f *fixed) Desired() (*network, []reconcile.Problem) { return &f.network, nil }
func (f *fixed) Changed() <-chan struct{}                 { return nil }
func (f *fixed) Window() reconcile.Window                 { return reconcile.Window{} }

// nothing stores no originals.
type nothing struct{}

func (nothing) Load() (map[string]json.RawMessage, error) { return nil, nil }
func (nothing) Save(map[string]json.RawMessage) error     { return nil }

func Example() {
	engine, err := reconcile.New(reconcile.Options[network]{
		Source:     &fixed{network{peers: []string{"h2", "h3"}}},
		Components: []reconcile.Component[network]{&tunnels{}},
		Originals:  nothing{},
		Log:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine.Reconcile(context.Background()) // Run repeats this whenever something may have changed
	result := engine.Last().Result("tunnels")
	for _, entry := range result.Applied {
		fmt.Printf("%s: %s (%s)\n", entry.Change.Key, entry.Change.To, entry.Cause)
	}
	fmt.Println("settled:", result.Settled())
	// Output:
	// tunnel h2: up (the agent was started)
	// tunnel h3: up (the agent was started)
	// settled: true
}
