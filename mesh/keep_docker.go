package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/history"
)

// keepDocker makes daemon.json as it should be and has Docker restarted where
// that is needed. It reports whether docker0's address may be touched: not while
// a dockerd is about to change it itself. The first restart waits until then, if
// that is not zero.
func (l *Loop) keepDocker(ctx context.Context, now dockerScene, then time.Time, mends *mends) (settled bool, problems []Problem, err error) {
	want := now.want
	if in := l.seen.docker; in != nil && in.want == want {
		return true, in.problems, nil
	}
	l.seen.docker = nil
	part, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Docker.Observe(part)
	if err != nil {
		return false, nil, err
	}
	changes, whole := due(l, mends, docker.Diff(want, have), func(c docker.Change) drift.Drift { return c.Drift })
	if len(changes) > 0 {
		began := time.Now()
		if err := l.cfg.Docker.Apply(part, changes); err != nil {
			return false, nil, err
		}
		var made []history.Change
		for _, c := range changes {
			cause := l.firstCause()
			if last := l.scenes.docker; last != nil {
				cause = now.cause(*last)
			}
			made = append(made, l.mended(c.Drift, began, cause))
		}
		l.cfg.History.Append(made...)
		if have, err = l.cfg.Docker.Observe(part); err != nil {
			return false, nil, err
		}
	}
	if whole {
		l.scenes.docker = &now
	}
	// While docker0 has the address of before, nothing that is sent to the bip is
	// answered, and peers would take the network for one that drops it.
	_, restarting := l.restarts.underWay()
	l.open, l.nats = have.Obstacle == "" && !have.Stale && !restarting, have.Running
	l.tellOpen()
	if want.Direct && have.Obstacle != "" && !have.Stale {
		problems = append(problems, Problem{
			What: "peers in this host's underlay subnet are reached by tunnels, for Docker lets no packets through that come without: " + have.Obstacle,
			Do:   "nothing, if tunnels will do: gremesh restarts no Docker for this alone",
		})
	}
	since, underWay := l.restarts.underWay()
	if have.Stale && !underWay && !then.IsZero() {
		mends.due = sooner(mends.due, then)
		return false, append(problems, Problem{What: "Docker is about to be restarted: the paths to the other hosts are being measured"}), nil
	}
	if have.Stale && l.restarts.due(want) {
		l.beReady() // systemd would not restart a unit that waits for this one
		since, underWay = l.restarts.begin(ctx, want, func(ctx context.Context) error { return l.restartDocker(ctx, want) }), true
	}
	if underWay {
		return false, append(problems, Problem{What: "Docker is being restarted (since " + since.Format(time.TimeOnly) + ")"}), nil
	}
	if !have.Stale {
		l.restarts.helped()
		problems = slices.Clip(append(problems, behind(want, have)...))
		if whole && len(changes) == 0 {
			l.seen.docker = &dockerSeen{want, problems}
		}
		return true, problems, nil
	}
	problem := Problem{
		What: fmt.Sprintf("dockerd still runs with the settings from before daemon.json was written (bip %s, mtu %d)", want.Bip, want.MTU),
		Do:   "restart Docker",
	}
	if err := l.restarts.failure(); err != nil {
		problem.What += ": " + err.Error()
	}
	return false, append(problems, problem), nil
}

// restartDocker runs beside the passes.
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
	measuredBy = 3 * time.Second // from the agent's start
	quietFor   = time.Second     // without a new peer
)

// unmeasured is until when Docker's first restart waits at the most: hosts that
// are started at once do not know each other yet, nor the MTU of the paths
// between them, and another restart would be needed for that. Zero: no longer.
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
