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
	// silenceLimit is how long the BFD session of a tunnel may take to come up.
	// It takes 2 s between two hosts that reach each other.
	silenceLimit = 10 * time.Second
	// tellAfter is how long a port must be silent before this host reports it
	// to the peer.
	tellAfter = 3 * time.Second
	// roundLimit is how long the trial of each configured type may take.
	roundLimit = 15 * time.Second
)

// silence describes the port to a peer while that port receives nothing.
type silence struct {
	kind  string    // type of the port
	of    time.Time // since when no port of that type receives anything
	since time.Time // since when no port of any type receives anything
	asked bool      // Open vSwitch has been asked to purge its flows
}

// next returns the next time at which this silence requires an action; zero if
// there is none. The argument types is the number of configured types.
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

// silences returns the silences of the given silent ports, for peers that are
// alive. The argument before is the result of the previous call.
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

// reconsider makes Open vSwitch purge its flows if nothing arrives from an
// alive peer. It does so once for each silence. Without it, the userspace
// datapath of Open vSwitch 3.1 kept passing the peer's GRE packets to the
// kernel after the port had been created. It did so as long as the peer kept
// sending.
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
	if err := l.cfg.Switch.PurgeFlows(ctx); err != nil {
		l.cfg.Log.Debug("cannot purge Open vSwitch's flows", "err", err)
	}
}

// blocked returns for each peer the types that do not get through to it. Most
// peers have none and are not in the result.
func (l *Loop) blocked(now time.Time, peers []Host, want ovsdb.Spec) map[lease.ID][]string {
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

// blocked returns the types that do not get through to a peer. These are the
// types that its tunnel has left, and its current type if the port has been
// silent for too long. The current type is left out if the peer does not report
// that its own port is silent too: then the fault is not in the network between
// the hosts.
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

// filtered returns a problem for each peer that some types do not get through
// to.
func filtered(blocked map[lease.ID][]string, peers []Host, want ovsdb.Spec, ports func() map[string]ovsdb.Port) []Problem {
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
		if ports()[t.Peer.ID].BFD.State == "init" { // the peer's packets arrive here, but ours do not arrive there (RFC 5880, section 6.2)
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

// protocolOf returns what firewalls must allow for tunnels of a type.
func protocolOf(kind string) (protocol, name string) {
	switch kind {
	case "vxlan":
		return "UDP port 4789", "VXLAN"
	case "geneve":
		return "UDP port 6081", "Geneve"
	}
	return "IP protocol 47", "GRE"
}
