package mesh

import (
	"context"
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
)

// longestDeaf is how long the pause after a failure is at most during which
// events are not listened to.
const longestDeaf = time.Second

// gathering is what has come of one kind of events, and when they are due.
type gathering struct {
	quiet, impatience time.Duration
	deadline          time.Time
	due               time.Time // zero: none has come
}

// add counts an event that comes now.
func (g *gathering) add(now time.Time) {
	if g.deadline.IsZero() {
		g.deadline = now.Add(g.impatience)
	}
	g.due = sooner(now.Add(g.quiet), g.deadline)
}

// sleep returns when there is reason for another pass: an event, with those
// that follow it closely, or the end of the pause. It returns false when ctx
// has ended.
func (l *Loop) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	host := gathering{quiet: hostQuiet, impatience: hostImpatience}
	mesh := gathering{quiet: meshQuiet, impatience: meshImpatience}
	l.undisturbed = true
	for {
		select { // all that wakes the loop
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-l.cfg.Membership.Changed():
			mesh.add(time.Now())
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.cfg.Switch.Changed():
			host.add(time.Now())
			timer.Reset(time.Until(sooner(host.due, mesh.due)))
			continue
		case <-l.cfg.Kernel.Changed():
			host.add(time.Now())
		case <-l.cfg.Docker.Changed():
			host.add(time.Now())
		case <-l.paths.changed:
			host.add(time.Now())
		case <-l.cfg.NAT.Changed():
			host.add(time.Now())
		case <-l.cfg.Masquerade.Changed():
			host.add(time.Now())
		case <-l.restarts.ended:
			host.add(time.Now())
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
