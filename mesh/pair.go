package mesh

import (
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// decide updates the types of the tunnels that this host decides for, and
// publishes them to the peers. If seen is false, the state of Open vSwitch is
// not known, and the types stay as they are. It returns the time of the next
// call; zero if none is due.
func (l *Loop) decide(now time.Time, view View, ovs ovsdb.State, seen bool) (again time.Time) {
	var ports func() map[string]ovsdb.Port
	var silent map[string]ovsdb.Port
	if seen {
		ports, silent = l.ours(ovs), l.seen.silent
	}
	l.silent = silences(now, l.silent, view.Peers, silent)
	if tunnel := l.cfg.in(view).Tunnel; !slices.Equal(l.fallbacks.types, tunnel.Types()) {
		l.fallbacks = newFallbacks(tunnel)
		l.fallbacks.anew = true
		l.decided.Store(&map[lease.ID]string{}) // the earlier decisions were about other types
	}
	types := *l.decided.Load()
	retries, retried := l.retries.due(now)
	if seen && len(l.fallbacks.types) > 1 {
		types, again = l.fallbacks.decide(now, view.Self.ID, view.Peers, sights(ports(), retries))
		l.decided.Store(&types)
	}
	pairs := make(map[lease.ID]Pair)
	for id, kind := range types {
		pairs[id] = Pair{Type: kind}
	}
	again = sooner(again, retried)
	for id, s := range l.silent {
		again = sooner(again, s.next(now, len(l.fallbacks.types)))
		if now.Sub(s.since) >= tellAfter {
			pairs[id] = Pair{Type: types[id], Silent: s.kind}
		}
	}
	for id := range retries {
		if _, mine := types[id]; !mine {
			p := pairs[id]
			p.Retry = true
			pairs[id] = p
		}
	}
	l.cfg.Membership.PublishOffers(pairs)
	return again
}

func sights(ports map[string]ovsdb.Port, retries map[lease.ID]bool) map[lease.ID]sight {
	seen := make(map[lease.ID]sight)
	for text, port := range ports {
		if id, err := lease.ParseID(text); err == nil { // skip an invalid ID: an operator may have written anything there
			seen[id] = sight{Type: port.Type, Made: works(&port), Up: port.BFD.State == "up", Retry: retries[id]}
		}
	}
	return seen
}

// works reports whether Open vSwitch has set up a port.
func works(p *ovsdb.Port) bool { return p.OfPort > 0 && p.Error == "" }

// paired returns the view with the types that this host has decided for pairs.
func (l *Loop) paired(view View) View {
	decided := *l.decided.Load()
	if len(decided) == 0 {
		return view
	}
	view.Peers = slices.Clone(view.Peers)
	for i, peer := range view.Peers {
		if t, mine := decided[peer.ID]; mine {
			view.Peers[i].Tunnel = t
		}
	}
	return view
}

// plan returns the desired state of this host, given the observed state of its
// Open vSwitch.
func (l *Loop) plan(view View, keep Keep, ovs ovsdb.State) (*Desired, []Problem) {
	return l.cfg.plan(l.paired(view), keep, ovs)
}

// inPlace returns a view in which each pair without a decision keeps the type
// of its existing port. This matters after a start of the agent: the other end
// has not reported its decision yet, but the port shows the earlier decision.
func (c Config) inPlace(view View, ovs ovsdb.State) View {
	if len(c.in(view).Tunnel.Fallback) == 0 {
		return view
	}
	ports := ourPorts(ovs)
	view.Peers = slices.Clone(view.Peers)
	for i, peer := range view.Peers {
		if port, is := ports[peer.ID.String()]; is && peer.Tunnel == "" {
			view.Peers[i].Tunnel = port.Type
		}
	}
	return view
}
