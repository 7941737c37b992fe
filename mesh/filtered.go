package mesh

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

const (
	// silenceLimit is how long a tunnel's BFD session may take to come up.
	// Between two hosts that reach each other it takes 2 s.
	silenceLimit = 10 * time.Second
	// tellAfter is when a host tells the peer that nothing comes by its port.
	tellAfter = 3 * time.Second
	// roundLimit is how long the trial of each configured type may take.
	roundLimit = 15 * time.Second
)

// silence is that of the port to a peer.
type silence struct {
	kind  string    // of the port
	of    time.Time // since when nothing comes by a port of that type
	since time.Time // and by any
	asked bool      // Open vSwitch has been asked to think again
}

// next is when something is to be done about it, which depends on how many types
// there are; zero: no more.
func (s silence) next(now time.Time, types int) (at time.Time) {
	for _, limit := range []time.Time{
		s.since.Add(tellAfter), s.of.Add(silenceLimit), s.since.Add(time.Duration(types) * roundLimit),
	} {
		if limit.After(now) {
			at = sooner(at, limit)
		}
	}
	return at
}

// silences are those of the silent ports, to peers that are alive.
// before is what they were at the last look.
func silences(now time.Time, before map[lease.ID]silence, peers []Host, silent map[string]ovsdb.Port) map[lease.ID]silence {
	found := make(map[lease.ID]silence)
	for id, port := range silent {
		peer, known := find(peers, id)
		if !known || peer.Liveness != Alive {
			continue
		}
		s := silence{kind: port.Type, of: now, since: now}
		if was, known := before[peer.ID]; known {
			s.since, s.asked = was.since, was.asked
			if was.kind == s.kind {
				s.of = was.of
			}
		}
		found[peer.ID] = s
	}
	return found
}

// reconsider has Open vSwitch think again when nothing comes from a peer that is
// alive, once each time: its userspace datapath was seen to go on handing the
// peer's GRE packets to the kernel after the port had been made (3.1), for as
// long as the peer went on sending.
func (l *Loop) reconsider(ctx context.Context, now time.Time) {
	late := false
	for id, s := range l.silent {
		if !s.asked && now.Sub(s.since) >= tellAfter {
			s.asked, late = true, true
			l.silent[id] = s
		}
	}
	if !late {
		return
	}
	if err := l.cfg.Switch.Reconsider(ctx); err != nil {
		l.cfg.Log.Debug("cannot purge Open vSwitch's flows", "err", err)
	}
}

// blocked are the types that do not get through to each peer; none of most.
func (l *Loop) blocked(now time.Time, peers []Host, want ovsdb.Switch) map[lease.ID][]string {
	found := make(map[lease.ID][]string)
	for i := range want.Tunnels {
		t := &want.Tunnels[i]
		if len(l.silent) == 0 && t.Type == l.fallbacks.types[0] {
			continue
		}
		peer, _ := find(peers, t.Peer.ID)
		if types := blocked(now, peer, *t, l.silent[peer.ID], l.fallbacks.types); len(types) > 0 {
			found[peer.ID] = types
		}
	}
	return found
}

// blocked are the types that do not get through to a peer: those that its tunnel
// has been moved away from, and its own when it has been silent for too long.
// Where the peer does not say that its end is silent too, another thing is wrong
// than the way between.
func blocked(now time.Time, peer Host, t ovsdb.Tunnel, s silence, types []string) []string {
	found := slices.Clone(types[:max(0, slices.Index(types, t.Type))])
	switch {
	case s.kind != t.Type || peer.Silent == "" || now.Sub(s.of) < silenceLimit:
	case len(types) > 1 && now.Sub(s.since) >= time.Duration(len(types))*roundLimit:
		return types
	default:
		found = append(found, t.Type)
	}
	return found
}

// filtered is a problem for each peer that some types do not get through to.
func filtered(blocked map[lease.ID][]string, peers []Host, want ovsdb.Switch, ports func() map[string]ovsdb.Port) []Problem {
	if len(blocked) == 0 {
		return nil
	}
	var problems []Problem
	for _, t := range want.Tunnels {
		peer, _ := find(peers, t.Peer.ID)
		types := blocked[peer.ID]
		if len(types) == 0 {
			continue
		}
		var names, protocols, both []string
		for _, kind := range types {
			protocol, name := protocolOf(kind)
			names, protocols = append(names, "no "+name), append(protocols, protocol)
			both = append(both, fmt.Sprintf("%s (%s)", protocol, name))
		}
		is := "is"
		if len(types) > 1 {
			is = "are"
		}
		if !slices.Contains(types, t.Type) {
			protocol, _ := protocolOf(t.Type)
			problems = append(problems, Problem{
				What: fmt.Sprintf("%s %s filtered between here and %s (%s): this pair uses %s (%s)",
					strings.Join(both, " and "), is, t.Peer.Name, t.Remote, t.Type, protocol),
				Do: fmt.Sprintf("allow %s between the underlay addresses; it is tried again by itself (tunnel.retry), or at once by `gremesh retry %s`, and until then everything works", both[0], t.Peer.Name),
			})
			continue
		}
		direction := "from"
		if ports()[t.Peer.ID].BFD.State == "init" { // it is heard, and does not hear us (RFC 5880, section 6.2)
			direction = "gets to"
		}
		problems = append(problems, Problem{
			What: fmt.Sprintf("%s %s %s (%s) although its agent answers: %s %s filtered between the two",
				strings.Join(names, " and "), direction, t.Peer.Name, t.Remote, strings.Join(protocols, " and "), is),
			Do: fmt.Sprintf("allow %s between the underlay addresses", strings.Join(both, " or ")),
		})
	}
	return problems
}

// protocolOf is what must pass firewalls for tunnels of a type.
func protocolOf(kind string) (protocol, name string) {
	switch kind {
	case "vxlan":
		return "UDP port 4789", "VXLAN"
	case "geneve":
		return "UDP port 6081", "Geneve"
	}
	return "IP protocol 47", "GRE"
}
