package mesh

import (
	"context"
	"slices"
	"time"
)

// For how long events are gathered: a pass begins when none has come for the
// quiet, or at the latest when the first is as old as the impatience.
const (
	// Those of the host can come as fast as another program likes, and each
	// pass asks the kernel and Open vSwitch anew: two passes a second are the
	// most that a storm of them costs.
	hostQuiet      = 50 * time.Millisecond
	hostImpatience = 500 * time.Millisecond
	// Those of the mesh are bounded by gossip, which spreads in rounds, and a
	// host that joins should have its tunnels at once.
	meshQuiet      = 10 * time.Millisecond
	meshImpatience = 100 * time.Millisecond
	// As long as others are about to get their subnets, more is to come, and
	// each change of its ports has ovs-vswitchd go through all that it has.
	formingQuiet      = 100 * time.Millisecond
	formingImpatience = time.Second
)

// pace is for how long events of the mesh are gathered.
func pace(view View) (quiet, impatience time.Duration) {
	if slices.ContainsFunc(view.Peers, func(h Host) bool { return h.Liveness == Alive && !h.Subnet.IsValid() }) {
		return formingQuiet, formingImpatience
	}
	return meshQuiet, meshImpatience
}

// longestDeaf is how long the pause after a failure is at most during which
// events are not listened to.
const longestDeaf = time.Second

// gathering is what has come of one kind of events, and when they are due.
type gathering struct {
	began time.Time // zero: none has come
	due   time.Time
}

// add counts an event that comes now.
func (g *gathering) add(quiet, impatience time.Duration) {
	now := time.Now()
	if g.began.IsZero() {
		g.began = now
	}
	g.due = sooner(now.Add(quiet), g.began.Add(impatience))
}

// sleep returns when there is reason for another pass: an event, with those
// that follow it closely, or the end of the pause. It returns false when ctx
// has ended.
func (l *Loop) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var host, mesh gathering
	l.undisturbed = true
	if l.rushed > 0 { // by an event that has been taken
		mesh.add(pace(l.cfg.Membership.View()))
		timer.Reset(time.Until(mesh.due))
	}
	for {
		select { // all that wakes the loop
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-l.cfg.Membership.Changed():
			mesh.add(pace(l.cfg.Membership.View()))
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.pathChanges():
			mesh.add(meshQuiet, meshImpatience)
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.retries.wake:
			mesh.add(meshQuiet, meshImpatience)
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.cfg.Switch.Changed():
			host.add(hostQuiet, hostImpatience)
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.cfg.Kernel.Changed():
			host.add(hostQuiet, hostImpatience)
		case <-l.cfg.Docker.Changed():
			host.add(hostQuiet, hostImpatience)
		case <-l.paths.changed:
			host.add(hostQuiet, hostImpatience)
		case <-l.cfg.NAT.Changed():
			host.add(hostQuiet, hostImpatience)
		case <-l.cfg.Masquerade.Changed():
			host.add(hostQuiet, hostImpatience)
		case <-l.restarts.ended:
			host.add(hostQuiet, hostImpatience)
		}
		l.undisturbed = false
		timer.Reset(time.Until(sooner(host.due, mesh.due)))
	}
}

// rest is sleep after a failure. A part of it no event ends, for a failure that
// makes events, as a lost connection does, would else be repeated as fast as
// they come.
func (l *Loop) rest(ctx context.Context, pause time.Duration) bool {
	deaf := min(pause, longestDeaf)
	return wait(ctx, deaf) && (pause == deaf || l.sleep(ctx, pause-deaf))
}

// wait waits whatever happens. It returns false when ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
