package mesh

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	echoEvery   = time.Second
	echoTimeout = 900 * time.Millisecond
	deafAfter   = 5 * time.Second // how long echoes must be unanswered before the tunnel is used
	directAgain = time.Hour       // delay before a direct path is tried again
)

// directPaths records which direct paths to peers, without a tunnel, get
// packets through. Many networks drop packets with containers' addresses. BFD
// cannot detect that, because its packets pass through the tunnels.
type directPaths struct {
	changed chan struct{} // capacity 1

	mu     sync.Mutex
	silent map[directPath]time.Time // since when echoes have been unanswered
	deaf   map[directPath]time.Time // since when the tunnel is used instead
}

// directPath identifies a path. It includes both addresses, so that a path is
// tried again as soon as either end has a new address.
type directPath struct {
	peer     lease.ID
	from, to netip.Addr
}

func newDirectPaths() *directPaths {
	return &directPaths{
		changed: make(chan struct{}, 1), silent: make(map[directPath]time.Time), deaf: make(map[directPath]time.Time),
	}
}

// note records the results of the echoes that were sent on all direct paths in
// use.
func (d *directPaths) note(now time.Time, answered map[directPath]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	differ := false
	silent := make(map[directPath]time.Time)
	for path, ok := range answered {
		if ok {
			continue
		}
		since, known := d.silent[path]
		if !known {
			since = now
		}
		if silent[path] = since; now.Sub(since) >= deafAfter {
			delete(silent, path)
			d.deaf[path], differ = now, true
		}
	}
	d.silent = silent
	for path, since := range d.deaf {
		if now.Sub(since) >= directAgain {
			delete(d.deaf, path)
			differ = true
		}
	}
	if differ {
		select {
		case d.changed <- struct{}{}:
		default:
		}
	}
}

// tellOpen publishes whether this host sends and accepts packets without a
// tunnel. It does not if its packets would be masqueraded, because Docker at
// the destination accepts only packets from the pool and would drop them.
func (l *Loop) tellOpen() { l.cfg.Membership.SetDirectAllowed(l.open && (!l.nats || !l.hides)) }

// watched is a Membership that adds the direct paths' results to the peers.
type watched struct {
	Membership
	paths *directPaths
}

// View implements Membership.
func (w watched) View() View {
	view := w.Membership.View()
	w.paths.mu.Lock()
	defer w.paths.mu.Unlock()
	if len(w.paths.deaf) == 0 {
		return view
	}
	view.Peers = slices.Clone(view.Peers)
	for i, p := range view.Peers {
		_, view.Peers[i].Deaf = w.paths.deaf[directPath{p.ID, view.Self.Underlay, p.Underlay}]
	}
	return view
}

// watchPaths sends echoes to the peers that are reached directly, until ctx
// ends. It skips a peer whose tunnel is not up, because that peer itself may be
// down.
func (l *Loop) watchPaths(ctx context.Context) {
	for wait(ctx, echoEvery) {
		view, last := l.cfg.Membership.View(), l.last.Load()
		self := view.Self
		if !self.Subnet.IsValid() || self.Cut {
			continue
		}
		var mu sync.Mutex
		var group sync.WaitGroup
		answered := make(map[directPath]bool)
		for _, p := range view.Peers {
			if p.Liveness != Alive || !p.Subnet.IsValid() || p.Cut || tunnelled(self, p) != "" {
				continue
			}
			if port, _ := last.port(p.ID.String()); port.BFD.State != "up" {
				continue
			}
			group.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, echoTimeout)
				defer cancel()
				err := l.cfg.Kernel.Echo(ctx, lease.Bip(self.Subnet).Addr(), lease.Bip(p.Subnet).Addr())
				mu.Lock()
				defer mu.Unlock()
				answered[directPath{p.ID, self.Underlay, p.Underlay}] = err == nil
			})
		}
		group.Wait()
		if ctx.Err() == nil {
			l.paths.note(time.Now(), answered)
		}
	}
}

// deafProblems returns a problem for each peer that cannot be reached directly.
func deafProblems(peers []Host) []Problem {
	var problems []Problem
	for i := range peers {
		p := &peers[i]
		if p.Deaf && p.Subnet.IsValid() {
			problems = append(problems, Problem{
				What: fmt.Sprintf("nothing comes back from %s (%s) without the tunnel: the network between drops packets with containers' addresses, or a firewall ICMP echo to %s; the tunnel is used",
					p.Name, p.Underlay, lease.Bip(p.Subnet).Addr()),
				Do: "let them pass (some clouds: source/destination check, allowed address pairs), or set direct: never; it is tried again after an hour, and when the agent is restarted",
			})
		}
	}
	return problems
}
