package ovsdb_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"

	contract "github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// before is a component that runs before Open vSwitch is changed.
type before string

func (b before) Name() string                                                      { return string(b) }
func (before) After() []string                                                     { return nil }
func (before) Observe(context.Context) (contract.State, error)                     { return struct{}{}, nil }
func (before) Plan(contract.Request[ovsdb.Spec], contract.State) (p contract.Plan) { return p }
func (before) Apply(context.Context, []contract.Change) error                      { return nil }
func (before) Watch(ctx context.Context, _ func()) error                           { <-ctx.Done(); return nil }

// desired is a desired state that a test changes, and a store of originals.
type desired struct {
	want    *ovsdb.Spec
	changed chan struct{}
	saved   map[string]json.RawMessage
}

func (d *desired) Desired() (*ovsdb.Spec, []contract.Problem) { return d.want, nil }
func (d *desired) Changed() <-chan struct{}                   { return d.changed }
func (d *desired) Window() contract.Window                    { return contract.Window{} }

func (d *desired) Load() (map[string]json.RawMessage, error) { return d.saved, nil }

func (d *desired) Save(all map[string]json.RawMessage) error {
	d.saved = all
	return nil
}

// engineOf is an engine that keeps Open vSwitch alone.
func engineOf(t *testing.T, c *ovsdb.Client, d *desired) *contract.Engine[ovsdb.Spec] {
	t.Helper()
	e, err := contract.New(contract.Options[ovsdb.Spec]{
		Source: d, Originals: d, Log: slog.New(slog.DiscardHandler),
		Components: []contract.Component[ovsdb.Spec]{
			before("guard"), before("gate"), &ovsdb.Component[ovsdb.Spec]{Client: c, Spec: func(s *ovsdb.Spec) ovsdb.Spec { return *s }},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestComponentMakesRepairsAndRemovesTunnels(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43, 44)
	e := engineOf(t, c, &desired{want: &want})
	e.Reconcile(t.Context())
	settled(t, c, want)
	if r := e.Last().Result("ovs"); !r.Settled() || len(r.Applied) != 3 {
		t.Fatalf("after the first pass: %+v", r)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	o.vsctl("ovs-vsctl del-port br0 gre43")
	eventually(t, soon, "a pass brings the port back", func() bool {
		have := observe(t, c)
		return e.Last().Result("ovs").Settled() && slices.ContainsFunc(have.Ports, func(p ovsdb.Port) bool { return p.Name == "gre43" })
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := e.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, c, ovsdb.Spec{})
}

func TestComponentRestoresABridgeOfOthers(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev -- set interface br0 mtu_request=1400")
	eventually(t, soon, "the bridge is seen", func() bool { return observe(t, c).Bridge.MTU == 1400 })
	want := mesh(43)
	d := &desired{want: &want}
	e := engineOf(t, c, d)
	e.Reconcile(t.Context())
	settled(t, c, want)
	if err := engineOf(t, c, d).Restore(t.Context()); err != nil { // by another process
		t.Fatal(err)
	}
	if b := observe(t, c).Bridge; !b.Exists || b.MTU != 1400 || len(observe(t, c).Ports) != 1 {
		t.Errorf("afterwards: %+v", observe(t, c))
	}
}

func TestComponentOrdersChangesByNeed(t *testing.T) {
	c := &ovsdb.Component[ovsdb.Spec]{Spec: func(s *ovsdb.Spec) ovsdb.Spec { return *s }}
	want := mesh(43)
	plan := c.Plan(contract.Request[ovsdb.Spec]{Desired: &want}, ovsdb.Observation{})
	bridge := contract.Key{Component: "ovs", Kind: "bridge", Name: "br0"}
	for _, change := range plan.Changes {
		if change.Key != bridge && !slices.Contains(change.Needs, bridge) {
			t.Errorf("%s does not need the bridge", change.Key)
		}
	}
	if len(plan.Changes) != 2 {
		t.Errorf("the plan is %+v", plan)
	}
}

func TestComponentReportsADeadDaemonByACode(t *testing.T) {
	c := &ovsdb.Component[ovsdb.Spec]{Spec: func(s *ovsdb.Spec) ovsdb.Spec { return *s }}
	want := mesh()
	plan := c.Plan(contract.Request[ovsdb.Spec]{Desired: &want}, ovsdb.Observation{State: ovsdb.State{Down: "ovs-vswitchd is not running"}})
	if len(plan.Problems) == 0 || plan.Problems[0].Code != "GM-OVS-DOWN" || plan.Problems[0].Remedy != ovsdb.RestartCommand {
		t.Errorf("the problems are %+v", plan.Problems)
	}
}

func TestABridgeThatLeadsOutHaltsTheHost(t *testing.T) {
	c := &ovsdb.Component[ovsdb.Spec]{Spec: func(s *ovsdb.Spec) ovsdb.Spec { return *s }}
	want := mesh(43)
	req := contract.Request[ovsdb.Spec]{Desired: &want}
	lan := ovsdb.Observation{NICs: []string{"eth1"}}
	lan.Bridge = ovsdb.Bridge{Name: "br0", Exists: true}
	lan.Ports = []ovsdb.Port{{Bridge: "br0", Interfaces: []string{"eth1"}}}
	lan.Ports[0].Name = "eth1"
	p := c.Plan(req, lan)
	last := p.Problems[len(p.Problems)-1]
	if !p.Halt || len(p.Changes) > 0 || last.Code != "GM-OVS-UPLINK" {
		t.Errorf("without a tunnel: halt %t, %d changes, %+v", p.Halt, len(p.Changes), p.Problems)
	}
	ours := ovsdb.Port{Bridge: "br0", Ours: true}
	ours.Tunnel = tunnel(43)
	lan.Ports = append(lan.Ports, ours)
	if p := c.Plan(req, lan); p.Halt || p.Problems[len(p.Problems)-1].Code != "GM-OVS-UPLINK" {
		t.Errorf("with a tunnel: halt %t, %+v", p.Halt, p.Problems)
	}
	lan.NICs = nil // a container's end, say
	if p := c.Plan(req, lan); p.Halt || len(p.Problems) > 0 && p.Problems[len(p.Problems)-1].Code == "GM-OVS-UPLINK" {
		t.Errorf("without a NIC: halt %t, %+v", p.Halt, p.Problems)
	}
	if p := c.Plan(contract.Request[ovsdb.Spec]{}, lan); p.Halt {
		t.Error("a removal is halted")
	}
}
