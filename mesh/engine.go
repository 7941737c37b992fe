package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// Names of components.
const (
	guardComponent  = "guard"
	gateComponent   = "gate"
	ovsComponent    = "ovs"
	dockerComponent = "docker"
	filterComponent = "filter"
	kernelComponent = "kernel"
)

// engineComponents are reconciled by the engine.
var engineComponents = []string{guardComponent, gateComponent, ovsComponent, dockerComponent, filterComponent, kernelComponent}

// newEngine returns the engine that the Loop calls in each pass.
func (l *Loop) newEngine() *reconcile.Engine[Desired] {
	guard := &bridge.Guard[Desired]{
		Kernel: kernelDriver{l}, Spec: func(d *Desired) bridge.Spec { return d.Host }, Skip: func(d *Desired) bool { return d.Host.Bip == l.joined },
	}
	gate := &filter.Gate[Desired]{Host: l.cfg.NAT, Spec: func(d *Desired) filter.Rules { return l.guarded(d.NAT) }}
	ovs := &ovsdb.Component[Desired]{Client: ovsDriver{l}, Spec: func(d *Desired) ovsdb.Spec { return d.Switch }, NICs: l.nics}
	kernel := &bridge.Component[Desired]{
		Kernel: kernelDriver{l}, Bridge: l.cfg.Bridge, Pool: l.cfg.Space.Prefix, Spec: func(d *Desired) bridge.Spec { return d.Host },
	}
	l.filter = &filter.Component[Desired]{
		Host: l.cfg.NAT, Around: around{kernelDriver{l}}, Spec: func(d *Desired) filter.Rules { return d.NAT },
	}
	dockerd := &docker.Component[Desired]{
		Daemon: dockerDriver{l.cfg.Docker, l}, Restarter: l.cfg.Memory.restarter,
		Spec: func(d *Desired) docker.Settings { return d.Docker }, Hold: func(*Desired) string { return l.held },
	}
	engine, err := reconcile.New(reconcile.Options[Desired]{
		Source:     &l.desired,
		Components: []reconcile.Component[Desired]{guard, gate, ovs, dockerd, l.filter, kernel},
		Originals:  noOriginals{ovsComponent, dockerComponent, kernelComponent},
		Log:        l.cfg.Log, Journal: l.recordEntries, Explain: l.explain, Snapshots: l.cfg.Memory.snapshots(),
		Timeout: partTimeout, Resync: 24 * time.Hour, Paced: true, // Loop.resync does it
		Preempt: func(component string) bool { return component == ovsComponent && l.tunnelsFirst() },
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

// earlyFailures returns the failures of the guard and the gate, unless the
// component for the same devices or tables fails too.
func (l *Loop) earlyFailures() (errs []error) {
	last := l.engine.Last()
	for early, late := range map[string]string{guardComponent: kernelComponent, gateComponent: filterComponent} {
		if r := last.Result(early); r.Err != nil && last.Result(late).Err == nil {
			errs = append(errs, errors.Unwrap(r.Err))
		}
	}
	return errs
}

// shareChanges makes the components that run first observe again what the
// components for the same tables and devices have changed after them. Own
// changes cause no events.
func (l *Loop) shareChanges() {
	last := l.engine.Last()
	if len(last.Result(filterComponent).Applied) > 0 {
		l.engine.Notify(gateComponent)
	}
	if len(last.Result(kernelComponent).Applied) > 0 {
		l.engine.Notify(guardComponent)
	}
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
	if c.Key.Component == ovsComponent {
		last := l.switchSceneOf(*prev)
		if l.cut != nil {
			last = *l.cut
		}
		cause := l.switchSceneOf(cur).cause(last, started, drift.Drift{Key: c.Key, Peer: c.Peer, Is: c.From, Should: c.To})
		if c.Key.Kind == "bridge" && c.Key.Field == "" {
			l.mends.remade = cause
		}
		return cause
	}
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
	// The guard, which runs before Docker, plans for the bip.
	if docker, ok := s.Upstream[dockerComponent]; ok && now.isDetached(docker.Settled()) {
		now.want = bridge.Spec{}
	}
	return now
}

// switchSceneOf returns Open vSwitch as a snapshot has it.
func (l *Loop) switchSceneOf(s snapshotOf) switchScene {
	return switchScene{s.At, s.Desired.View, s.Desired.Switch, s.State.(ovsdb.Observation).State, l.cfg.in(s.Desired.View).Tunnel.Type}
}

// nics returns the devices that lead to a network outside of this host.
func (l *Loop) nics(ctx context.Context) ([]string, error) {
	have, err := kernelDriver{l}.Observe(ctx)
	return have.NICs, err
}

// natSceneOf returns the packet filter as a snapshot has it.
func (l *Loop) natSceneOf(s snapshotOf) natScene {
	return natScene{at: s.At, view: s.Desired.View, want: l.filter.Rules(s), have: s.State.(filter.Observation).State}
}

// around observes what the packet filter's rules depend on.
type around struct{ kernel bridge.Machine }

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

// problemsOf returns the problems of a component for status. If the component
// could not be observed, its plan is an old one, and the error is the only
// problem.
func problemsOf(r reconcile.Result) []Problem {
	if _, applying := errors.AsType[*reconcile.ApplyError](r.Err); r.Err != nil && !applying {
		return nil
	}
	return problemsIn(r.Plan.Problems)
}

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
