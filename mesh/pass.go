package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// pass observes, compares and applies once. It reports whether all went well;
// what did not is among the problems of the outcome.
func (l *Loop) pass(ctx context.Context) bool {
	l.busy.Lock()
	defer l.busy.Unlock()
	defer l.beReady()
	run := ctx // ends when the agent stops, which fails whatever is under way
	ctx, cancel := context.WithTimeout(run, passTimeout)
	defer cancel()

	view := l.cfg.Membership.View()
	var failures []Problem
	fail := func(err error) {
		if run.Err() == nil {
			failures = append(failures, Problem{What: err.Error()})
			l.cfg.Log.Warn("a pass met a failure and will be repeated", "err", err)
		}
	}

	ovs, err := l.cfg.Switch.Observe(ctx)
	switchSeen := err == nil
	if err != nil {
		fail(err)
	}
	keep := l.keep(view, ovs, switchSeen)
	desired, problems := Plan(l.cfg.Config, view, keep)
	if desired == nil {
		l.cfg.Membership.Report(TunnelCount{})
		l.last.Store(&outcome{problems: slices.Concat(view.Problems, problems, failures)})
		return len(failures) == 0
	}

	if switchSeen {
		if ovs, err = l.keepSwitch(ctx, desired.Switch, ovs); err != nil {
			fail(err)
		}
		for _, c := range ovsdb.Conflicts(desired.Switch, ovs) {
			problems = append(problems, Problem{What: c.Object + ": " + c.What, Do: c.Do})
		}
	}
	ports := ourPorts(ovs)
	tell := func(more ...Problem) {
		l.cfg.Membership.Report(countTunnels(view.Peers, desired.Switch, ports))
		l.last.Store(&outcome{ports: ports, keep: keep, problems: slices.Concat(view.Problems, problems, failures, more)})
	}
	settled, more, err := l.keepDocker(ctx, desired.Docker, tell)
	problems = append(problems, more...)
	if err != nil {
		fail(err)
	}
	if err := l.keepHost(ctx, desired.Host, settled); err != nil {
		fail(err)
	}

	tell()
	return len(failures) == 0
}

// keepSwitch makes Open vSwitch as it should be and returns what it then is.
func (l *Loop) keepSwitch(ctx context.Context, want ovsdb.Switch, have ovsdb.Actual) (ovsdb.Actual, error) {
	changes := ovsdb.Diff(want, have)
	nudges := ovsdb.Hurry(have)
	if len(changes)+len(nudges) == 0 {
		return have, nil
	}
	began := time.Now()
	if err := l.cfg.Switch.Apply(ctx, slices.Concat(changes, nudges)); err != nil {
		return have, err
	}
	for _, c := range changes {
		l.record(c.Drift, began)
	}
	return l.cfg.Switch.Observe(ctx)
}

// keepDocker makes daemon.json as it should be and has Docker restarted where
// that is needed; it tells what the pass has come to before that, as it may
// take long. It reports whether docker0's address may be touched: not while a
// dockerd is about to change it itself.
func (l *Loop) keepDocker(ctx context.Context, want docker.Settings, tell func(...Problem)) (settled bool, problems []Problem, err error) {
	have, err := l.cfg.Docker.Observe(ctx)
	if err != nil {
		return false, nil, err
	}
	if changes := docker.Diff(want, have); len(changes) > 0 {
		began := time.Now()
		if err := l.cfg.Docker.Apply(ctx, changes); err != nil {
			return false, nil, err
		}
		for _, c := range changes {
			l.record(c.Drift, began)
		}
		if have, err = l.cfg.Docker.Observe(ctx); err != nil {
			return false, nil, err
		}
	}
	if !have.Stale {
		l.restart = restartBackoff{}
		return true, nil, nil
	}
	problem := Problem{
		What: fmt.Sprintf("dockerd still runs with the settings from before daemon.json was written (bip %s, mtu %d)", want.Bip, want.MTU),
		Do:   "restart Docker",
	}
	if !l.restart.due() {
		return false, []Problem{problem}, nil
	}
	tell(problem)
	l.beReady() // systemd would not restart a unit that waits for this one
	err = l.cfg.Docker.Restart(ctx)
	if errors.Is(err, docker.ErrNever) {
		return false, []Problem{problem}, nil
	}
	l.restart.tried()
	if err != nil {
		return false, []Problem{problem}, err
	}
	if have, err = l.cfg.Docker.Observe(ctx); err != nil || have.Stale {
		return false, []Problem{problem}, err
	}
	return true, nil, nil
}

// keepHost makes the kernel as it should be. As long as Docker is not settled,
// a docker0 that has another address than the bip is left alone.
func (l *Loop) keepHost(ctx context.Context, want bridge.Host, settled bool) error {
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil {
		return err
	}
	if !settled && have.Bridge.Exists && !slices.Contains(have.Addrs, want.Bip) {
		return nil
	}
	changes := bridge.Diff(want, have)
	if len(changes) == 0 {
		return nil
	}
	began := time.Now()
	err = l.cfg.Kernel.Apply(ctx, changes)
	if err == nil {
		for _, c := range changes {
			l.record(c.Drift, began)
		}
	}
	return err
}

// record logs a change that was made.
func (l *Loop) record(d drift.Drift, began time.Time) {
	l.cfg.Log.Info("changed", "object", d.Object, "was", d.Is, "is", d.Should, "took", time.Since(began))
}

// keep tells which silent peers keep their tunnels: as long as their BFD
// session is up, and for the grace after that. When Open vSwitch can't be
// seen, all do.
func (l *Loop) keep(view View, ovs ovsdb.Actual, seen bool) Keep {
	now := time.Now()
	up := make(map[string]bool)
	for _, port := range ovs.Ports {
		up[port.Peer.ID] = port.Ours && port.BFD.State == "up"
	}
	keep := make(Keep)
	down := make(map[lease.ID]time.Time)
	for _, peer := range view.Peers {
		if peer.Liveness != Failed {
			continue
		}
		since, known := l.down[peer.ID]
		switch {
		case !seen || up[peer.ID.String()]:
			since = time.Time{}
		case !known:
			since = peer.Since
		case since.IsZero(): // the last pass saw it up, be it long ago
			since = now
		}
		down[peer.ID] = since
		keep[peer.ID] = since.IsZero() || now.Sub(since) < l.cfg.PeerGrace
	}
	l.down = down
	return keep
}

// restartBackoff keeps a restart command that does not help from being run
// again and again: every restart of Docker stops its containers.
type restartBackoff struct {
	next time.Time
	wait time.Duration
}

func (b restartBackoff) due() bool { return !time.Now().Before(b.next) }

func (b *restartBackoff) tried() {
	b.wait = min(max(30*time.Second, 2*b.wait), 10*time.Minute)
	b.next = time.Now().Add(b.wait)
}
