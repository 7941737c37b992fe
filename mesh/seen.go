package mesh

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/ovsdb"
)

// seen is what the last pass has found, which counts for the next as long as
// nothing says that it has changed: a thousand peers are no reason to look at a
// thousand things when one of them has. All is looked at anew every 30 s and
// after a failure.
type seen struct {
	plan   *plan
	ovs    *ovsSeen
	docker *dockerSeen
	nat    *natSeen
	host   *hostSeen

	portsOf ovsdb.Actual
	ports   func() map[string]ovsdb.Port // of portsOf, by their peers
	silent  map[string]ovsdb.Port        // those by which nothing comes
	count   TunnelCount
	counted *Desired // for it and portsOf; nil: count is not known
}

// plan is a Desired, and what it was made from.
type plan struct {
	view     View
	keep     Keep
	said     masq.FileState
	desired  *Desired
	problems []Problem
}

// The parts that were as they should be, with nothing to mend. What is wanted of
// Open vSwitch is the same where the Desired is the same one.
type (
	ovsSeen struct {
		have     ovsdb.Actual
		desired  *Desired
		problems []Problem
	}
	dockerSeen struct {
		want     docker.Settings
		problems []Problem
	}
	natSeen struct {
		want     masq.Rules
		problems []Problem
	}
	hostSeen struct {
		want bridge.Host
		have bridge.Actual
	}
)

// planned is what this host should have; the same as the last time where that was
// made from the same.
func (l *Loop) planned(view View, keep Keep, ovs ovsdb.Actual) (*Desired, []Problem) {
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
	l.seen.plan = p
	return p.desired, p.problems
}

// knownPeers returns the peers that the last plan was made for.
func (l *Loop) knownPeers() []Host {
	if l.seen.plan == nil { // after a failure
		return l.cfg.Membership.View().Peers
	}
	return l.seen.plan.view.Peers
}

// sameMesh tells whether two Views lead to the same plan. How many tunnels hosts
// have does not matter to it.
func sameMesh(a, b View) bool {
	if a.Mesh != b.Mesh || !slices.Equal(a.Settings, b.Settings) || !sameHere(&a.Self, &b.Self) || len(a.Peers) != len(b.Peers) {
		return false
	}
	for i := range a.Peers {
		if !sameHere(&a.Peers[i], &b.Peers[i]) {
			return false
		}
	}
	return true
}

// sameHere tells whether a host is the same but for the number of its tunnels.
func sameHere(a, b *Host) bool {
	if a.Tunnels == b.Tunnels {
		return *a == *b
	}
	other := *b
	other.Tunnels = a.Tunnels
	return *a == other
}

// ours are gremesh's ports, by the ID of their peers.
func (l *Loop) ours(ovs ovsdb.Actual) func() map[string]ovsdb.Port {
	if l.seen.ports == nil || !l.seen.portsOf.Same(ovs) {
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

// count counts the tunnels, see countTunnels.
func (l *Loop) count(peers []Host, desired *Desired, ovs ovsdb.Actual, paths *pathsSeen) TunnelCount {
	ports := l.ours(ovs)
	if l.seen.counted != desired {
		l.seen.count, l.seen.counted = countTunnels(peers, desired.Switch, ovs, ports, paths.carries), desired
	}
	return l.seen.count
}

func sameRules(a, b masq.Rules) bool {
	if !slices.Equal(a.NonMasquerade, b.NonMasquerade) || !slices.Equal(a.Guard.Hosts, b.Guard.Hosts) || !slices.Equal(a.Guard.Sources, b.Guard.Sources) {
		return false
	}
	a.NonMasquerade, b.NonMasquerade = nil, nil
	a.Guard.Hosts, b.Guard.Hosts, a.Guard.Sources, b.Guard.Sources = nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

func sameHost(a, b bridge.Host) bool {
	if !slices.Equal(a.Peers, b.Peers) {
		return false
	}
	a.Peers, b.Peers = nil, nil
	return reflect.DeepEqual(a, b)
}
