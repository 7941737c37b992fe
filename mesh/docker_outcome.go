package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// dockerOutcome is what the engine found out about Docker.
type dockerOutcome struct {
	settled  bool // see reconcile.Result.Settled
	problems []Problem
	pending  []string // in progress; the operator need not do anything
}

// dockerOutcome records what the engine found out about Docker.
func (l *Loop) dockerOutcome() (out dockerOutcome, err error) {
	r := l.engine.Last().Result(dockerComponent)
	if r.Err != nil {
		out.problems = problemsOf(r)
		return out, errors.Unwrap(r.Err)
	}
	have, ok := r.State.(docker.Observation)
	if !ok { // ctx has ended
		return out, nil
	}
	out = dockerOutcome{settled: r.Settled(), problems: problemsOf(r)}
	if r.Plan.Pending != "" && !r.Plan.Blocked {
		out.pending = []string{r.Plan.Pending}
	}
	// While docker0 still has its previous address, nothing answers packets to
	// the bip. If this host accepted direct packets then, peers would conclude
	// that the network drops them.
	waits := slices.ContainsFunc(r.Plan.Problems, func(p reconcile.Problem) bool { return p.Code == docker.WithoutSwitch })
	if have.Unsupported == nil && have.Misread == nil && !waits {
		l.open, l.nats = have.Obstacle == "" && !have.NeedsRestart && !have.Starting && have.Restart.Since.IsZero(), have.Running
		l.tellOpen()
	}
	return out, nil
}

// hold makes the first restart of Docker wait until then; zero: it need not
// wait.
func (l *Loop) hold(then time.Time) {
	why := ""
	if !then.IsZero() {
		why = "the paths to the other hosts are being measured"
	}
	if l.held != why {
		l.held = why
		l.engine.Notify(dockerComponent)
	}
}

// afterPass waits for the end of the pass that restarts Docker. The pass reports
// the tunnels, and tells systemd that the agent is ready: systemd would not
// restart a unit that waits for this one.
func (l *Loop) afterPass() {
	l.busy.Lock()
	defer l.busy.Unlock()
	l.beReady()
}

// restartDocker runs in its own goroutine, besides the passes. The time that it
// waits for the pass is not part of the command's: a command that is killed
// between stop and start leaves no dockerd.
func (l *Loop) restartDocker(ctx context.Context) error {
	l.afterPass()
	ctx, cancel := context.WithTimeout(ctx, docker.RestartTimeout)
	defer cancel()
	began, want := time.Now(), l.restartFor.Load()
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

// dockerRan records whether a dockerd has run since this host's last boot. A
// record that cannot be read or written is no failure.
type dockerRan struct{ l *Loop }

func (d dockerRan) IsSet() (bool, error) {
	if d.l.cfg.DockerRan == nil {
		return false, nil
	}
	set, err := d.l.cfg.DockerRan.IsSet()
	d.failed(err)
	return set, nil
}

func (d dockerRan) Set() error {
	if d.l.cfg.DockerRan != nil {
		d.failed(d.l.cfg.DockerRan.Set())
	}
	return nil
}

func (d dockerRan) failed(err error) {
	if err != nil {
		d.l.cfg.Log.Warn("cannot record whether dockerd has run since the boot", "err", err)
	}
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
