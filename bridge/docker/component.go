package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// component is the name of the part of the machine that this package keeps.
const component = "docker"

// Component reconciles daemon.json and restarts Docker for another bip. Its
// state is an Observation.
type Component[In any] struct {
	Daemon    Machine
	Restarter *Restarter
	// Spec returns the keys that daemon.json should have.
	Spec func(*In) Settings
	// Hold returns why a restart has to wait, although it is needed; empty: it
	// does not. Another restart would be needed for what is known soon.
	Hold func(*In) string
}

// Machine is the Docker that a component reconciles, see Daemon.
type Machine interface {
	Observe(context.Context) (State, error)
	Apply(context.Context, []Change) error
	Changed() <-chan struct{}
}

// Observation is daemon.json, the dockerd that should have read it, and the restarts
// that gremesh makes.
type Observation struct {
	State
	Restart Restart
}

// IsRunning reports whether a dockerd of the host's root runs.
func (s Observation) IsRunning() bool { return s.Running }

// Name returns "docker".
func (c *Component[In]) Name() string { return component }

// After returns Open vSwitch: without it containers would be stopped for a mesh
// that cannot work.
func (c *Component[In]) After() []string { return []string{"ovs"} }

// Observe returns an Observation.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	have, err := c.Daemon.Observe(ctx)
	if err != nil {
		return nil, err
	}
	restart, err := c.Restarter.note(have)
	return Observation{have, restart}, err
}

// ApplyTimeout has room for the restart that Restore waits for.
func (c *Component[In]) ApplyTimeout() time.Duration { return RestartTimeout + 15*time.Second }

// Apply writes daemon.json. It begins a restart and does not wait for it, except
// for Restore: Plan reports it as pending, and Watch notifies of its end.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	var keys []Change
	writes := false
	for _, change := range changes {
		switch op := change.Op.(type) {
		case Change:
			keys, writes = append(keys, op), true
		case rewrite:
			writes = true
		}
	}
	if writes {
		if err := c.Daemon.Apply(ctx, keys); err != nil {
			return err
		}
		c.Restarter.renew()
	}
	for _, change := range changes {
		if op, ok := change.Op.(restartFor); ok {
			c.Restarter.begin(ctx, op.bip)
			if op.wait {
				return c.Restarter.Wait(ctx)
			}
		}
	}
	return nil
}

// Original returns JSON null: the record of daemon.json's former values is in a
// file of its own, docker.json, with the values that gremesh wrote.
func (c *Component[In]) Original(reconcile.State) (json.RawMessage, error) {
	return json.RawMessage("null"), nil
}

// Restore plans to put back the keys of daemon.json that still have gremesh's
// values, and to restart a dockerd that uses another bip than the file has then.
func (c *Component[In]) Restore(_ reconcile.Request[In], _ json.RawMessage, s reconcile.State) reconcile.Plan {
	have := s.(Observation)
	var p reconcile.Plan
	if have.Unsupported != nil || have.Misread != nil {
		return p
	}
	for _, c := range Diff(Settings{Former: true}, have.State) {
		p.Changes = append(p.Changes, reconcile.Change{Key: c.Key, From: c.Is, To: c.Should, Op: c})
	}
	switch {
	case len(p.Changes) > 0: // first the file: whether dockerd is stale is seen then
	case have.Futile != nil:
		p.Pending = "Docker keeps its bip"
		p.Problems = append(p.Problems, reconcile.Problem{Code: "GM-DOCKER-FUTILE", Summary: have.Futile.What, Remedy: have.Futile.Do})
	case have.NeedsRestart && have.Running && !have.Starting:
		p.Changes = []reconcile.Change{restartChange(have, have.Bip, true)}
	}
	return p
}

// Watch notifies of daemon.json, of dockerd, and of the end of a restart. The
// Daemon must run.
func (c *Component[In]) Watch(ctx context.Context, notify func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Daemon.Changed():
		case <-c.Restarter.ended:
		}
		notify()
	}
}

// Investigate names the commands that show who writes daemon.json.
func (c *Component[In]) Investigate(reconcile.Key) string {
	return "find the program and stop it: your configuration management, or `auditctl -w` on the file and then `ausearch -f daemon.json`"
}

// restartFor is the Op of a restart of Docker.
type restartFor struct {
	bip  string
	wait bool // Apply returns once the restart has ended
}

func restartChange(have Observation, bip string, wait bool) reconcile.Change {
	return reconcile.Change{
		Key: daemonKey, From: fmt.Sprintf("running with the bip %s", have.Network), To: "restarted",
		Commands: []string{"systemctl restart docker"}, Op: restartFor{bip, wait}, Quiet: !wait,
	}
}

// rewrite is the Op of a change that writes only gremesh's record of daemon.json.
type rewrite struct{}

// recordKey identifies that record.
var recordKey = reconcile.Key{Component: component, Kind: "docker.json"}

// daemonKey identifies the dockerd that runs.
var daemonKey = reconcile.Key{Component: component, Kind: "dockerd"}

const (
	startingRecheck = 500 * time.Millisecond
	futileRecheck   = 5 * time.Second
)

// Plan compares daemon.json with Diff, and dockerd with daemon.json.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	have := s.(Observation)
	if req.Desired == nil {
		return reconcile.Plan{} // daemon.json stays until Restore: containers have addresses of the bip
	}
	want, hold := c.Spec(req.Desired), ""
	if c.Hold != nil {
		hold = c.Hold(req.Desired)
	}
	return planFor(want, have, hold, isUsable(req.Upstream["ovs"]))
}

// isUsable reports whether Open vSwitch answers and acts on its database.
func isUsable(ovs reconcile.Result) bool {
	daemon, ok := ovs.State.(interface{ IsDown() bool })
	var applying *reconcile.ApplyError // it was observed
	return (ovs.Err == nil || errors.As(ovs.Err, &applying)) && (!ok || !daemon.IsDown())
}

// planFor returns the changes and problems of a desired and an observed state. As
// long as it has something pending, docker0's address is Docker's.
func planFor(want Settings, have Observation, hold string, ovs bool) reconcile.Plan {
	var p reconcile.Plan
	if t := have.Unsupported; t != nil {
		return untouched("GM-DOCKER-UNSUPPORTED", t)
	}
	if t := have.Misread; t != nil {
		return untouched("GM-DOCKER-FILE", t)
	}
	if !ovs && renews(want, have.State) {
		p.Problems = append(p.Problems, withoutSwitch(want))
		if have.Running {
			p.Pending, p.Blocked = "Docker keeps its bip until Open vSwitch answers", true
		}
		return p
	}
	for _, c := range Diff(want, have.State) {
		p.Changes = append(p.Changes, reconcile.Change{Key: c.Key, From: c.Is, To: c.Should, Op: c})
	}
	if have.Unrecorded && len(p.Changes) == 0 {
		p.Changes = append(p.Changes, reconcile.Change{Key: recordKey, To: "complete", Op: rewrite{}, Quiet: true})
	}
	p.Problems = append(p.Problems, routing(want, have.State)...)
	restart(&p, want, have, hold)
	return p
}

// untouched is the plan for a Docker that gremesh leaves alone.
func untouched(code string, t *Trouble) reconcile.Plan {
	return reconcile.Plan{
		Pending:  "Docker is left unchanged",
		Blocked:  true,
		Problems: []reconcile.Problem{{Code: code, Summary: t.What, Remedy: t.Do}},
	}
}

// renews reports whether Docker would get a bip that gremesh has not written
// yet, or would have to be restarted.
func renews(want Settings, have State) bool {
	return have.NeedsRestart || want.Bip.IsValid() && have.Bip != want.Bip.String() && have.Written.Bip != want.Bip.String()
}

// restart plans a restart if dockerd uses another bip than daemon.json, which
// has the desired keys, and a restart would help.
func restart(p *reconcile.Plan, want Settings, have Observation, hold string) {
	switch {
	case !have.Restart.Since.IsZero():
		p.Pending = "Docker is being restarted (since " + have.Restart.Since.Format(time.TimeOnly) + ")"
	case have.Futile != nil:
		p.Pending, p.Blocked, p.Recheck = "Docker keeps its bip", true, futileRecheck
		p.Problems = append(p.Problems, reconcile.Problem{Code: "GM-DOCKER-FUTILE", Summary: have.Futile.What, Remedy: have.Futile.Do})
	case have.Starting:
		p.Pending, p.Recheck = "dockerd is starting", startingRecheck
		if t := have.Silent; t != nil {
			p.Blocked = true
			p.Problems = append(p.Problems, reconcile.Problem{Code: "GM-DOCKER-SILENT", Summary: t.What, Remedy: t.Do})
		}
	case have.NeedsRestart && have.Restart.Cleared:
		p.Pending, p.Recheck = "Docker is about to be restarted: nothing prevents that any more", have.Restart.Wait
	case have.NeedsRestart && hold != "" && have.Restart.Err == nil:
		p.Pending = "Docker is about to be restarted: " + hold
	case have.NeedsRestart && len(p.Changes) > 0: // first the file: dockerd may already use what it has then
	case have.NeedsRestart && !have.Restart.Never && waits(want, have) == 0:
		p.Changes = append(p.Changes, restartChange(have, want.Bip.String(), false))
	case have.NeedsRestart:
		p.Pending, p.Blocked, p.Recheck = "Docker keeps its bip", true, waits(want, have)
		p.Problems = append(p.Problems, stale(want, have))
	case !have.Running:
		p.Problems = append(p.Problems, dead(have.Restart)...)
	default:
		p.Problems = append(p.Problems, olderMTU(want, have.State)...)
	}
}

// waits returns how long a restart for the wanted bip waits. daemon.json may
// still have another one.
func waits(want Settings, have Observation) time.Duration {
	r := have.Restart
	if bip := want.Bip.String(); bip != have.Bip && bip == r.Bip {
		return max(r.Wait, r.Pause)
	}
	return r.Wait
}
