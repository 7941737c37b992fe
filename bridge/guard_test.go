package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

func TestTheGuardActsOnlyOnADocker0WithAnotherAddress(t *testing.T) {
	g := &Guard[Spec]{Spec: func(h *Spec) Spec { return *h }}
	have := clean()
	if p := g.Plan(request(want), have); len(p.Changes) > 0 {
		t.Errorf("on a host in order: %q", changeKeys(p))
	}
	have.Addrs = prefixes("172.17.99.1/24")
	got := changeKeys(g.Plan(request(want), have))
	if !strings.Contains(got, "link br0 master") || !strings.Contains(got, "route 172.17.0.0/16") || strings.Contains(got, KindAddress) {
		t.Errorf("with another host's address: %q", got)
	}
	have.Bridge = Link{}
	if p := g.Plan(request(want), have); len(p.Changes) > 0 {
		t.Errorf("without docker0: %q", changeKeys(p))
	}
	if p := g.Plan(reconcile.Request[Spec]{}, clean()); len(p.Changes) > 0 {
		t.Errorf("the removal is not the guard's: %q", changeKeys(p))
	}
}

// Docker is a component of the test that is settled, or not.
type testDocker struct {
	name    string
	pending string
}

func (d *testDocker) Name() string                                     { return d.name }
func (d *testDocker) After() []string                                  { return nil }
func (d *testDocker) Observe(context.Context) (reconcile.State, error) { return struct{}{}, nil }
func (d *testDocker) Apply(context.Context, []reconcile.Change) error  { return nil }
func (d *testDocker) Watch(ctx context.Context, _ func()) error        { <-ctx.Done(); return nil }
func (d *testDocker) Plan(reconcile.Request[Spec], reconcile.State) reconcile.Plan {
	return reconcile.Plan{Pending: d.pending}
}

// noOriginals stores no originals.
type noOriginals struct{}

func (noOriginals) Load() (map[string]json.RawMessage, error) { return nil, nil }
func (noOriginals) Save(map[string]json.RawMessage) error     { return nil }

// constant is a desired state that does not change.
type constant struct{ host Spec }

func (c *constant) Desired() (*Spec, []reconcile.Problem) { return &c.host, nil }
func (c *constant) Changed() <-chan struct{}              { return nil }
func (c *constant) Window() reconcile.Window              { return reconcile.Window{} }

// A host that has renumbered waits for Docker's restart, and then takes part
// again. Both on the kernel of this machine, in a namespace.
func TestDocker0WithAnotherAddressIsOutOfTheMeshUntilDockerHasTheBip(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0; ip link add docker0 type bridge; ip address add 172.17.99.1/24 dev docker0; ip link set docker0 up; ip link set br0 master docker0")
	docker := &testDocker{"docker", "Docker is being restarted"}
	spec := func(h *Spec) Spec { return *h }
	e, err := reconcile.New(reconcile.Options[Spec]{
		Source: &constant{want}, Originals: noOriginals{}, Log: slog.New(slog.DiscardHandler),
		Components: []reconcile.Component[Spec]{
			&Guard[Spec]{Kernel: k, Spec: spec}, &testDocker{name: "ovs"}, docker, &testDocker{name: "filter"}, &Component[Spec]{Kernel: k, Bridge: k.cfg.Bridge, Pool: k.cfg.Pool, Spec: spec},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Reconcile(t.Context())
	if out := sh(t, "ip -o link show br0; ip -o -4 address show docker0; ip route show proto 77"); strings.Contains(out, "master") || !strings.Contains(out, "172.17.99.1") {
		t.Errorf("while Docker is being restarted:\n%s", out)
	}
	if r := e.Last().Result("kernel"); r.Settled() {
		t.Errorf("the kernel is settled: %+v", r.Plan)
	}
	docker.pending = ""
	sh(t, "ip address del 172.17.99.1/24 dev docker0; ip address add 172.17.42.1/24 dev docker0") // as Docker does
	restarted, err := reconcile.New(reconcile.Options[Spec]{                                      // which observes everything
		Source: &constant{want}, Originals: noOriginals{}, Log: slog.New(slog.DiscardHandler),
		Components: []reconcile.Component[Spec]{
			&Guard[Spec]{Kernel: k, Spec: spec}, &testDocker{name: "ovs"}, docker, &testDocker{name: "filter"}, &Component[Spec]{Kernel: k, Bridge: k.cfg.Bridge, Pool: k.cfg.Pool, Spec: spec},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	restarted.Reconcile(t.Context())
	if out := sh(t, "ip -o link show br0; ip route show proto 77"); !strings.Contains(out, "master docker0") || !strings.Contains(out, "172.17.0.0/16") {
		t.Errorf("once Docker has the bip:\n%s", out)
	}
	if r := restarted.Last().Result("kernel"); !r.Settled() {
		t.Errorf("the kernel is not settled: %+v, %v", r.Plan, r.Err)
	}
	if err := restarted.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := sh(t, "ip -o link show br0; ip route show proto 77"); strings.Contains(out, "master") || strings.Contains(out, "172.17") {
		t.Errorf("after the removal:\n%s", out)
	}
}
