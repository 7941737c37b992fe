package mesh

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// pass observes, compares and applies once. If ok is false, the problems of the
// outcome contain the failures. The result again is the latest time of the next
// pass. Each component has its own timeout, so that a component that hangs does
// not stop the others.
func (l *Loop) pass(ctx context.Context) (ok bool, again time.Time) {
	l.busy.Lock()
	defer l.busy.Unlock()
	now := time.Now()
	again = l.resync(now)
	if !l.undisturbed {
		l.engine.Notify(engineComponents...)
	}
	l.undisturbed = false
	var failures []Problem
	fail := func(err error) {
		if ctx.Err() != nil { // the agent is stopping, so everything in progress fails
			return
		}
		l.seen = seen{}
		l.engine.Notify(engineComponents...)
		failures = append(failures, problemOf(err))
	}

	l.renumber(ctx, l.cfg.Membership.View())
	view := l.cfg.Membership.View()
	l.recordLease(view)
	l.mends, l.kernelSeen = &mends{}, nil
	ovsCtx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	ovs, err := l.cfg.Switch.Observe(ovsCtx)
	switchSeen := err == nil
	if err != nil {
		fail(err)
	}
	state := ovsState(switchSeen, ovs)
	tunnelsSeen := switchSeen && ovs.Down == ""
	down := switchDown(ovs)
	keep, graceEnd := l.keep(view, ovs, tunnelsSeen)
	again = sooner(sooner(again, graceEnd), l.decide(now, view, ovs, tunnelsSeen))
	l.reconsider(ovsCtx, now)
	view = l.cfg.inPlace(l.paired(view), ovs)
	desired, problems := l.planned(view, keep, ovs)
	problems = append(slices.Clip(down), problems...)
	if desired == nil {
		if switchSeen {
			if err := l.cutOff(ovsCtx, now, view, ovs); err != nil {
				fail(err)
			}
		}
		l.probe(nil)
		l.cfg.Membership.Report(TunnelCount{})
		again = sooner(again, l.conclude(now, view, nil, ovs, &outcome{ovs: state, problems: slices.Concat(problems, failures)}))
		return len(failures) == 0, again
	}

	if err := l.cfg.Kernel.SaveOriginal(ctx); err != nil {
		fail(err)
		again = sooner(again, l.conclude(now, view, nil, ovs, &outcome{ovs: state, problems: slices.Concat(problems, failures)}))
		return false, again
	}
	problems = slices.Clip(problems) // the plan that is kept shares this slice, so appends must copy it
	if bars, err := l.barred(ctx, ovs); err != nil || len(bars) > 0 {
		if err != nil {
			fail(err)
		}
		l.cfg.Membership.Report(TunnelCount{})
		again = sooner(again, l.conclude(now, view, nil, ovs, &outcome{ovs: state, keep: keep, problems: slices.Concat(problems, bars, failures)}))
		l.beReady()
		return len(failures) == 0, again
	}
	if err := l.look(ctx, ovs, switchSeen); err != nil {
		fail(err)
	}
	then := l.unmeasured(now, view.Peers)
	l.hold(then)
	l.restartFor.Store(&desired.Docker)
	l.giveOVS(ovs, err)
	l.desired.spec = desired
	rushed := l.rushed
	again = sooner(sooner(again, then), l.engine.Reconcile(ctx))
	l.shareChanges()
	if switchSeen {
		var more []Problem
		if ovs, more, err = l.ovsOutcome(ovs); err != nil {
			fail(err)
		}
		l.here.ovs = ovs
		problems = append(problems, more...)
	}
	if l.rushed > rushed {
		return len(failures) == 0, now
	}
	l.rushed = 0
	ports := l.ours(ovs)
	paths := l.probe(desired)
	l.cfg.Membership.Report(l.count(view.Peers, desired, ovs, paths))
	pathProblems, certain := l.judgePaths(now, desired, ovs, paths)
	problems, again = append(problems, pathProblems...), sooner(again, certain)
	problems = append(problems, deafProblems(view.Peers)...)
	blocked := l.blocked(now, view.Peers, desired.Switch)
	filtered := filtered(blocked, view.Peers, desired.Switch, ports)
	problems = append(problems, filtered...)
	docker, err := l.dockerOutcome()
	problems = append(problems, docker.problems...)
	if err != nil {
		fail(err)
	}
	l.here.settled = l.docker0Settled(docker.settled)
	rules := l.guarded(desired.NAT)
	more, err := l.filterOutcome()
	if err != nil {
		fail(err)
	}
	problems = append(problems, more...)
	host, err := l.hostOutcome()
	if err != nil {
		fail(err)
	}
	for _, err := range l.earlyFailures() {
		fail(err)
	}
	l.here.foreign, l.here.looked = host.Tunnels, l.here.looked || err == nil
	problems = append(problems, reversePath(view.Self, l.cfg.UnderlayLink, desired.NAT, host.StrictRPFilter)...)
	problems = append(problems, stranger(desired.Host.OVSPort, host.ForeignKind)...)
	problems = append(problems, switchProblems(desired.Host, host)...)
	problems = append(problems, overlapProblems(l.overlaps(ctx, view.Peers, host))...)
	problems = append(problems, taken(desired.Switch, host.Gretaps)...)
	problems = append(problems, l.contended()...)
	if !switchSeen {
		ports = nil
	}
	again = sooner(again, l.conclude(now, view, desired, ovs, &outcome{
		ovs: state, ports: ports, keep: keep, blocked: blocked, filtered: filtered, paths: pathProblems, problems: slices.Concat(problems, failures), pending: docker.pending,
		guard: guardText(rules.Guard, l.here.lacks, l.cfg.in(view).Tunnel.Key),
	}))
	l.beReady()
	return len(failures) == 0, again
}

// tunnelsFirst reports whether the mesh has changed since the pass began, which
// is common when many hosts start at once. Then the pass ends early, and the
// next pass starts soon with the tunnels. Docker, the packet filter and the
// kernel take longer and are left to the next pass. This happens at most
// maxRushed times in a row.
func (l *Loop) tunnelsFirst() bool {
	if l.rushed < maxRushed {
		select {
		case <-l.cfg.Membership.Changed():
			l.rushed++
			return true
		default:
		}
	}
	return false
}

// hostOutcome returns the kernel that the engine has reconciled.
func (l *Loop) hostOutcome() (bridge.State, error) {
	r := l.engine.Last().Result(kernelComponent)
	if r.Err != nil {
		return bridge.State{}, errors.Unwrap(r.Err)
	}
	have, _ := r.State.(bridge.State) // none if ctx has ended
	l.noteJoined()
	return have, nil
}

// noteJoined records with which bip docker0 was in the mesh when the kernel was
// last in order.
func (l *Loop) noteJoined() {
	if last, ok := l.engine.Snapshots()[kernelComponent]; ok {
		l.joined = hostSceneOf(last).want.Bip
	}
}

// sooner returns the earlier of two times. The zero time means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// keep returns the silent peers that keep their tunnels. A peer keeps its
// tunnel while its BFD session is up, and for the grace period after that. The
// result graceEnd is the end of the first grace period; zero if there is none.
// If Open vSwitch cannot be observed, all silent peers keep their tunnels.
func (l *Loop) keep(view View, ovs ovsdb.State, seen bool) (keep Keep, graceEnd time.Time) {
	now := time.Now()
	up := func(id string) bool {
		port := l.ours(ovs)()[id]
		return port.BFD.State == "up"
	}
	keep = make(Keep)
	down := make(map[lease.ID]time.Time)
	for i := range view.Peers {
		peer := &view.Peers[i]
		if peer.Liveness != Failed {
			continue
		}
		since, known := l.down[peer.ID]
		switch {
		case !seen || up(peer.ID.String()):
			since = time.Time{}
		case !known:
			since = peer.Since
		case since.IsZero(): // the session was up in the last pass, however long ago that was
			since = now
		}
		down[peer.ID] = since
		if since.IsZero() {
			keep[peer.ID] = true
			continue
		}
		end := since.Add(l.cfg.PeerGrace)
		if keep[peer.ID] = now.Before(end); keep[peer.ID] {
			graceEnd = sooner(graceEnd, end)
		}
	}
	l.down = down
	return keep, graceEnd
}
