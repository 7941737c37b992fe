package mesh

import (
	"context"
	"slices"
	"time"
)

// Debounce times. A pass begins when no event has come for the quiet time. It
// begins at the latest when the first event is as old as the impatience.
const (
	// Events of the host can come as fast as another program changes things,
	// and each pass observes the kernel and Open vSwitch again. These values
	// limit a storm of events to two passes a second.
	hostQuiet      = 50 * time.Millisecond
	hostImpatience = 500 * time.Millisecond
	// Gossip limits the rate of events of the mesh, because it works in rounds.
	// A host that joins should get its tunnels at once.
	meshQuiet      = 10 * time.Millisecond
	meshImpatience = 100 * time.Millisecond
	// More events follow as long as other hosts wait for their subnets. Each
	// change of a port makes ovs-vswitchd process its whole configuration, so
	// fewer passes are better.
	formingQuiet      = 100 * time.Millisecond
	formingImpatience = time.Second
)

// pace returns the debounce times for events of the mesh.
func pace(view View) (quiet, impatience time.Duration) {
	if slices.ContainsFunc(view.Peers, func(h Host) bool { return h.Liveness == Alive && !h.Subnet.IsValid() }) {
		return formingQuiet, formingImpatience
	}
	return meshQuiet, meshImpatience
}

// longestDeaf is the maximum time after a failed pass during which events are
// ignored.
const longestDeaf = time.Second

// gathering holds the debounce state of one kind of events.
type gathering struct {
	began time.Time // time of the first event; zero: no event yet
	due   time.Time
}

// add records an event that comes now.
func (g *gathering) add(quiet, impatience time.Duration) {
	now := time.Now()
	if g.began.IsZero() {
		g.began = now
	}
	g.due = sooner(now.Add(quiet), g.began.Add(impatience))
}

// sleep returns when another pass is due: after an event and the events that
// closely follow it, or at the end of the pause. It returns false if ctx has
// ended.
func (l *Loop) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var host, mesh gathering
	l.undisturbed = true
	if l.rushed > 0 { // tunnelsFirst has consumed the event
		mesh.add(pace(l.cfg.Membership.View()))
		timer.Reset(time.Until(mesh.due))
	}
	for {
		select { // everything that wakes the Loop
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
		case <-l.cfg.Memory.restarter.Ended():
			host.add(hostQuiet, hostImpatience)
		}
		l.undisturbed = false
		timer.Reset(time.Until(sooner(host.due, mesh.due)))
	}
}

// rest waits after a failed pass. It ignores events for the first second at
// most, because some failures, such as a lost connection, emit events
// themselves. Without that, the pass would be repeated in a busy loop.
func (l *Loop) rest(ctx context.Context, pause time.Duration) bool {
	deaf := min(pause, longestDeaf)
	return wait(ctx, deaf) && (pause == deaf || l.sleep(ctx, pause-deaf))
}

// wait waits for d and ignores events. It returns false if ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
