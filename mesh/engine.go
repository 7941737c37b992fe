package mesh

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// Names of components.
const (
	ovsComponent    = "ovs"
	dockerComponent = "docker"
	filterComponent = "filter"
	kernelComponent = "kernel"
)

// engineComponents are reconciled by the engine.
var engineComponents = []string{dockerComponent, filterComponent, kernelComponent}

// newEngine returns the engine of the components that the Loop does not
// reconcile itself.
func (l *Loop) newEngine() *reconcile.Engine[Desired] {
	l.upstream = map[string]*given{ovsComponent: {name: ovsComponent, state: unobserved{}}}
	kernel := &bridge.Component[Desired]{
		Kernel: l.cfg.Kernel, Bridge: l.cfg.Bridge, Pool: l.cfg.Space.Prefix, Spec: func(d *Desired) bridge.Spec { return d.Host },
	}
	l.filter = &filter.Component[Desired]{
		Host: l.cfg.NAT, Around: around{l.cfg.Kernel}, Spec: func(d *Desired) filter.Rules { return d.NAT },
	}
	dockerd := &docker.Component[Desired]{
		Daemon: l.cfg.Docker, Restarter: l.cfg.Memory.restarter,
		Spec: func(d *Desired) docker.Settings { return d.Docker }, Hold: func(*Desired) string { return l.held },
	}
	engine, err := reconcile.New(reconcile.Options[Desired]{
		Source:     &l.desired,
		Components: []reconcile.Component[Desired]{l.upstream[ovsComponent], dockerd, l.filter, kernel},
		Originals:  noOriginals{dockerComponent, kernelComponent},
		Log:        l.cfg.Log, Journal: l.recordEntries, Explain: l.explain, Snapshots: l.cfg.Memory.snapshots(),
		Timeout: partTimeout, Resync: resyncEvery,
	})
	if err != nil {
		panic(err) // the components above can be ordered
	}
	return engine
}

// recordEntries counts changes and appends them to the history.
func (l *Loop) recordEntries(entries []reconcile.Entry) {
	made := make([]journal.Change, 0, len(entries))
	for _, e := range entries {
		made = append(made, journal.Change{
			Time: e.Time, Object: e.Change.Key.String(), Was: e.Change.From, Is: e.Change.To, Cause: e.Cause, Seconds: e.Took.Seconds(),
		})
	}
	l.changes.Add(uint64(len(made)))
	l.cfg.History.Append(made...)
}

// explain returns the cause of a change that a component made.
func (l *Loop) explain(prev *snapshotOf, cur snapshotOf, c reconcile.Change) string {
	if prev == nil {
		return l.firstCause()
	}
	if c.Key.Component == dockerComponent {
		return dockerScene{cur.Desired.Docker}.cause(dockerScene{prev.Desired.Docker})
	}
	started := l.mends.young(l.cfg.Ages, prev.At)
	if c.Key.Component == filterComponent {
		return l.natSceneOf(cur).cause(l.natSceneOf(*prev), started)
	}
	return hostSceneOf(cur).cause(hostSceneOf(*prev), started, l.mends.remade, c.Key)
}

// snapshotOf is a component at one time.
type snapshotOf = reconcile.Snapshot[Desired]

// hostSceneOf returns the kernel as a snapshot has it.
func hostSceneOf(s snapshotOf) hostScene {
	now := hostScene{at: s.At, want: s.Desired.Host, have: s.State.(bridge.State), peers: s.Desired.View.Peers}
	if docker := s.Upstream[dockerComponent]; now.isDetached(docker.Settled()) {
		now.want = bridge.Spec{}
	}
	return now
}

// natSceneOf returns the packet filter as a snapshot has it.
func (l *Loop) natSceneOf(s snapshotOf) natScene {
	return natScene{at: s.At, view: s.Desired.View, want: l.filter.Rules(s), have: s.State.(filter.Observation).State}
}

// around observes what the packet filter's rules depend on.
type around struct{ kernel Kernel }

func (a around) Observe(ctx context.Context) (filter.Surroundings, error) {
	have, err := a.kernel.Observe(ctx)
	if err != nil {
		return filter.Surroundings{}, err
	}
	s := filter.Surroundings{Docker0: have.Addrs}
	for _, t := range have.Tunnels {
		s.Devices = append(s.Devices, filter.Device{Kind: t.Kind, Remote: t.Remote})
	}
	return s, nil
}

func (a around) Watch(ctx context.Context, notify func()) error { return a.kernel.Watch(ctx, notify) }

// problemsOf returns the problems of a component for status.
func problemsOf(r reconcile.Result) []Problem { return problemsIn(r.Plan.Problems) }

func problemsIn(list []reconcile.Problem) []Problem {
	var problems []Problem
	for _, p := range list {
		problems = append(problems, Problem{What: p.Summary, Do: p.Remedy})
	}
	return problems
}

// desired is the desired state of the current pass. It implements
// reconcile.Source for an engine that the Loop calls.
type desired struct{ spec *Desired }

func (d *desired) Desired() (*Desired, []reconcile.Problem) { return d.spec, nil }
func (d *desired) Changed() <-chan struct{}                 { return nil }
func (d *desired) Window() reconcile.Window                 { return reconcile.Window{} }

// given is a component that the Loop itself reconciles, as its dependents see
// it.
type given struct {
	name  string
	state reconcile.State
}

func (g *given) Name() string    { return g.name }
func (g *given) After() []string { return nil }
func (g *given) Observe(context.Context) (reconcile.State, error) {
	return g.state, nil
}
func (g *given) Plan(reconcile.Request[Desired], reconcile.State) reconcile.Plan {
	return reconcile.Plan{}
}
func (g *given) Apply(context.Context, []reconcile.Change) error { return nil }
func (g *given) Watch(ctx context.Context, _ func()) error       { <-ctx.Done(); return ctx.Err() }

// unobserved is an Open vSwitch that was never observed.
type unobserved struct{}

// IsDown reports that it is not usable.
func (unobserved) IsDown() bool { return true }

// lastOVS is Open vSwitch as it was last observed.
type lastOVS struct {
	ovsdb.State
	down bool // it does not answer now, or does not act on its database
}

// IsDown reports whether Docker must not be restarted for tunnels.
func (o lastOVS) IsDown() bool { return o.down }

// noOriginals has an original state for each of these components, so that the
// engine stores none: the drivers of the components do that themselves.
type noOriginals []string

func (n noOriginals) Load() (map[string]json.RawMessage, error) {
	all := make(map[string]json.RawMessage)
	for _, name := range n {
		all[name] = json.RawMessage("null")
	}
	return all, nil
}

func (noOriginals) Save(map[string]json.RawMessage) error {
	return errors.New("save the original state: it is stored elsewhere")
}
