package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
)

// dockerOutcome is the result of a pass for Docker.
type dockerOutcome struct {
	// settled reports whether gremesh may change docker0's address. It is false
	// while a dockerd is about to change the address itself, or uses another
	// address.
	settled  bool
	problems []Problem
	pending  []string // in progress; the operator need not do anything
}

const (
	startingAgain = 500 * time.Millisecond // delay before a starting dockerd is observed again
	futileAgain   = 5 * time.Second        // delay before gremesh checks again whether containers are running
)

// keepDocker reconciles daemon.json, and restarts Docker if that is necessary
// and useful. Unless then is zero, the first restart waits until then. Without
// Open vSwitch (ovs is false) keepDocker neither writes a new bip nor restarts
// Docker. Such a restart would stop containers for a mesh that cannot work.
func (l *Loop) keepDocker(ctx context.Context, now dockerScene, then time.Time, ovs bool, mends *mends) (out dockerOutcome, err error) {
	want := now.want
	if in := l.seen.docker; in != nil && in.want == want {
		return dockerOutcome{settled: true, problems: in.problems}, nil
	}
	l.seen.docker = nil
	part, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Docker.Observe(part)
	if err != nil {
		return out, err
	}
	if err := l.restarts.note(have, l.cfg.DockerRan); err != nil {
		l.cfg.Log.Warn("cannot record whether dockerd has run since the boot", "err", err)
	}
	if t := cmp.Or(have.Unsupported, have.Misread); t != nil {
		return dockerOutcome{problems: []Problem{troubled(t)}}, nil
	}
	changes, whole := due(l, mends, docker.Diff(want, have), func(c docker.Change) drift.Drift { return c.Drift })
	if !ovs && renews(want, have) {
		return dockerOutcome{settled: !have.Running, problems: []Problem{noSwitch(want)}}, nil
	}
	if len(changes) > 0 || have.Unrecorded {
		if have, err = l.writeDaemonJSON(part, now, changes); err != nil {
			return out, err
		}
	}
	if whole {
		l.scenes.docker = &now
	}
	// While docker0 still has its previous address, nothing answers packets to
	// the bip. If this host accepted direct packets then, peers would conclude
	// that the network drops them.
	_, restarting := l.restarts.underWay()
	l.open, l.nats = have.Obstacle == "" && !have.Stale && !have.Starting && !restarting, have.Running
	l.tellOpen()
	if want.Direct && have.Obstacle != "" && !have.Stale && !have.Starting {
		out.problems = append(out.problems, Problem{
			What: "peers in this host's underlay subnet are reached by tunnels, because Docker drops packets that come without one: " + have.Obstacle,
			Do:   "nothing, if tunnels will do: gremesh does not restart Docker for this alone",
		})
	}
	if have.Lost != nil {
		out.problems = append(out.problems, troubled(have.Lost))
	}
	if docker.AcceptTaken(want, have) {
		out.problems = append(out.problems, Problem{
			What: "daemon.json has a bridge-accept-fwmark that is not gremesh's: Docker's nftables backend may drop mesh traffic",
			Do:   fmt.Sprintf("set it to %q if nothing else needs yours, and restart Docker", want.Accept),
		})
	}
	l.settle(ctx, want, have, then, &out, mends)
	if out.settled {
		out.problems = slices.Clip(append(out.problems, behind(want, have)...))
		if whole && len(changes) == 0 {
			l.seen.docker = &dockerSeen{want, out.problems}
		}
	}
	return out, nil
}

// settle restarts Docker if that is due, and describes the state of dockerd in
// out.
func (l *Loop) settle(ctx context.Context, want docker.Settings, have docker.Actual, then time.Time, out *dockerOutcome, mends *mends) {
	since, underWay := l.restarts.underWay()
	switch {
	case underWay:
	case have.Futile != nil:
		mends.due = sooner(mends.due, time.Now().Add(futileAgain))
		out.problems = append(out.problems, troubled(have.Futile))
		return
	case have.Stale && time.Now().Before(l.restarts.hold()):
		mends.due = sooner(mends.due, l.restarts.hold())
		out.pending = append(out.pending, "Docker is about to be restarted: nothing prevents that any more")
		return
	case have.Stale && !then.IsZero():
		mends.due = sooner(mends.due, then)
		out.pending = append(out.pending, "Docker is about to be restarted: the paths to the other hosts are being measured")
		return
	case have.Stale && l.restarts.due(want):
		l.beReady() // systemd would not restart a unit that waits for this one
		since, underWay = l.restarts.begin(ctx, want, func(ctx context.Context) error { return l.restartDocker(ctx, want) }), true
	}
	switch {
	case underWay:
		out.pending = append(out.pending, "Docker is being restarted (since "+since.Format(time.TimeOnly)+")")
	case have.Starting:
		mends.due = sooner(mends.due, time.Now().Add(startingAgain))
		out.pending = append(out.pending, "dockerd is starting")
		if have.Silent != nil {
			out.pending, out.problems = nil, append(out.problems, troubled(have.Silent))
		}
	case have.Stale:
		out.problems = append(out.problems, l.restarts.stale(want, have))
	case !have.Running:
		out.settled = true
		out.problems = append(out.problems, l.restarts.dead()...)
	default:
		out.settled = true
		l.restarts.helped()
	}
}

// writeDaemonJSON applies the changes and returns the state after them.
func (l *Loop) writeDaemonJSON(ctx context.Context, now dockerScene, changes []docker.Change) (docker.Actual, error) {
	began := time.Now()
	if err := l.cfg.Docker.Apply(ctx, changes); err != nil {
		return docker.Actual{}, err
	}
	var made []journal.Change
	for _, c := range changes {
		cause := l.firstCause()
		if last := l.scenes.docker; last != nil {
			cause = now.cause(*last)
		}
		made = append(made, l.mended(c.Drift, began, cause))
	}
	l.restarts.renewed()
	l.cfg.History.Append(made...)
	return l.cfg.Docker.Observe(ctx)
}

// restartDocker runs in its own goroutine, besides the passes.
func (l *Loop) restartDocker(ctx context.Context, want docker.Settings) error {
	began := time.Now()
	err := l.cfg.Docker.Restart(ctx)
	switch {
	case err == nil:
		l.record(drift.Drift{Object: dockerd, Is: "running with the settings from before", Should: "restarted"}, began,
			fmt.Sprintf("daemon.json has bip %s and mtu %d", want.Bip, want.MTU))
	case !errors.Is(err, docker.ErrNever):
		l.cfg.Log.Warn("docker could not be restarted", "err", err)
	}
	return err
}

const (
	measuredBy = 3 * time.Second // after the start of the agent
	quietFor   = time.Second     // without a new peer
)

// unmeasured returns the time until which Docker's first restart must wait;
// zero: it need not wait. Hosts that start at the same time do not know each
// other yet, nor the MTU of the paths between them. Without this delay, Docker
// would need a second restart for the MTU.
func (l *Loop) unmeasured(now time.Time, peers []Host) time.Time {
	if len(peers) != l.met {
		l.met, l.metAt = len(peers), now
	}
	quiet := l.metAt.Add(quietFor)
	switch {
	case !now.Before(l.patience):
		return time.Time{}
	case len(peers) == 0, slices.ContainsFunc(peers, func(p Host) bool { return p.Liveness == Alive && p.Path == 0 }):
		return l.patience
	case now.Before(quiet):
		return sooner(quiet, l.patience)
	}
	return time.Time{}
}
