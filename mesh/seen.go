package mesh

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/ovsdb"
)

// seen holds the results of the last pass. A result is reused until an event
// invalidates it, so that one changed peer out of a thousand does not cause a
// full scan. Everything is read again every 30 s and after a failure.
type seen struct {
	plan *plan

	portsOf ovsdb.State
	ports   func() map[string]ovsdb.Port // gremesh's ports in portsOf, by peer ID
	silent  map[string]ovsdb.Port        // ports that receive nothing, by peer ID
	count   TunnelCount
	counted *Desired // count is valid for this and portsOf; nil: count is not known
}

// plan is a Desired, with the input of its computation.
type plan struct {
	view     View
	keep     Keep
	said     filter.FileState
	desired  *Desired
	problems []Problem
}

// planned returns the desired state of this host. It returns the same pointer
// as last time if the input has not changed.
func (l *Loop) planned(view View, keep Keep, ovs ovsdb.State) (*Desired, []Problem) {
	view, said := l.cfg.inPlace(view, ovs), l.cfg.Masquerade.State()
	if p := l.seen.plan; p != nil && maps.Equal(p.keep, keep) && reflect.DeepEqual(p.said, said) && sameMesh(p.view, view) {
		return p.desired, p.problems
	}
	cfg := l.cfg.Config
	cfg.NAT = said
	p := &plan{view: view, keep: keep, said: said}
	if was := l.seen.plan; was != nil && reflect.DeepEqual(was.said, said) {
		if desired, ok := was.replan(cfg, view, keep); ok {
			p.desired, p.problems = desired, was.problems
		}
	}
	if p.desired == nil {
		p.desired, p.problems = Plan(cfg, view, keep)
	}
	if p.desired != nil {
		p.desired.View = view
	}
	l.seen.plan = p
	return p.desired, p.problems
}

// sameMesh reports whether two Views lead to the same plan. The tunnel counts
// of hosts do not matter.
func sameMesh(a, b View) bool {
	if a.Mesh != b.Mesh || a.Lost != b.Lost || a.SettingsVersion != b.SettingsVersion || !slices.Equal(a.Settings, b.Settings) || !sameHere(&a.Self, &b.Self) || len(a.Peers) != len(b.Peers) {
		return false
	}
	for i := range a.Peers {
		if !sameHere(&a.Peers[i], &b.Peers[i]) {
			return false
		}
	}
	return true
}

// sameHere reports whether two hosts are equal except for their tunnel counts.
func sameHere(a, b *Host) bool {
	if a.Tunnels == b.Tunnels {
		return *a == *b
	}
	other := *b
	other.Tunnels = a.Tunnels
	return *a == other
}

// ours returns gremesh's ports by the ID of their peers.
func (l *Loop) ours(ovs ovsdb.State) func() map[string]ovsdb.Port {
	if l.seen.ports == nil || !l.seen.portsOf.Unchanged(ovs) {
		l.seen.ports, l.seen.portsOf, l.seen.counted = portsOf(ovs), ovs, nil
		l.seen.silent = make(map[string]ovsdb.Port)
		for i := range ovs.Ports {
			if port := &ovs.Ports[i]; port.Ours && port.Tunnel.BFD && port.BFD.State != "up" && port.BFD.State != ovsdb.StateUnknown && works(port) {
				l.seen.silent[port.Peer.ID] = *port
			}
		}
	}
	return l.seen.ports
}

// count returns the result of countTunnels. It reuses the last result if
// nothing has changed.
func (l *Loop) count(peers []Host, desired *Desired, ovs ovsdb.State, paths *pathsSeen) TunnelCount {
	ports := l.ours(ovs)
	if l.seen.counted != desired {
		l.seen.count, l.seen.counted = countTunnels(peers, desired.Switch, ovs, ports, paths.carries), desired
	}
	return l.seen.count
}

func sameRules(a, b filter.Rules) bool {
	if !slices.Equal(a.NonMasquerade, b.NonMasquerade) || !slices.Equal(a.Guard.Hosts, b.Guard.Hosts) || !slices.Equal(a.Guard.Sources, b.Guard.Sources) {
		return false
	}
	a.NonMasquerade, b.NonMasquerade = nil, nil
	a.Guard.Hosts, b.Guard.Hosts, a.Guard.Sources, b.Guard.Sources = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}
