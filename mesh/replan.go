package mesh

import (
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/bridge/filter"
)

// fewHosts limits the number of results of changed. With more changed hosts,
// Plan is faster than replan.
const fewHosts = 64

// replan computes the same result as Plan, but faster if few hosts have changed
// since was. It plans the changed hosts alone, with their old and their new
// state, and exchanges their parts of the old result.
//
// It returns ok false if one host may depend on another, for example because
// two hosts report the same address. Then the caller must plan all hosts.
func (was *plan) replan(cfg Config, view View, keep Keep) (desired *Desired, ok bool) {
	if was.desired == nil || was.view.Mesh != view.Mesh || !slices.Equal(was.view.Settings, view.Settings) || !sameHere(&was.view.Self, &view.Self) || view.Self.Cut {
		return nil, false
	}
	gone, come, ok := changed(was.view.Peers, view.Peers, was.keep, keep)
	if !ok || shared(gone, come, was.view.Peers) || shared(gone, come, view.Peers) {
		return nil, false
	}
	cfg = cfg.in(view)
	known := len(natProblems(cfg.NAT)) + len(cfg.tunnelProblems(view))
	some := func(peers []Host, keep Keep) (*Desired, bool) {
		view := view
		view.Peers = peers
		desired, problems := Plan(cfg, view, keep)
		return desired, len(problems) == known
	}
	none, _ := some(nil, nil)
	before, well := some(gone, was.keep)
	after, wells := some(come, keep)
	if !well || !wells {
		return nil, false
	}
	d := *was.desired
	var routes, tunnels, networks bool
	d.Switch.Tunnels, tunnels = exchanged(d.Switch.Tunnels, before.Switch.Tunnels, after.Switch.Tunnels, compareTunnels)
	d.Host.Peers, routes = exchanged(d.Host.Peers, before.Host.Peers, after.Host.Peers, comparePeers)
	common := func(p netip.Prefix) bool { return slices.Contains(none.NAT.NonMasquerade, p) }
	d.NAT.NonMasquerade, networks = exchanged(d.NAT.NonMasquerade,
		slices.DeleteFunc(before.NAT.NonMasquerade, common), slices.DeleteFunc(after.NAT.NonMasquerade, common), netip.Prefix.Compare)
	d.NAT.Forward = cfg.forward(d.Host.Peers)
	var hosts, sources bool
	self := func(a netip.Addr) bool { return a == view.Self.Underlay }
	d.NAT.Guard.Hosts, hosts = exchanged(d.NAT.Guard.Hosts,
		slices.DeleteFunc(before.NAT.Guard.Hosts, self), slices.DeleteFunc(after.NAT.Guard.Hosts, self), netip.Addr.Compare)
	d.NAT.Guard.Sources, sources = exchanged(d.NAT.Guard.Sources, before.NAT.Guard.Sources, after.NAT.Guard.Sources, filter.Source.Compare)
	mtu, _ := cfg.MTU(view, keep)
	d.Switch.MTU, d.Host.MTU, d.Docker.MTU = mtu, mtu, mtu
	return &d, tunnels && routes && networks && hosts && sources
}

// changed returns the hosts that differ: gone has their old state, come their
// new state. It returns ok false if there are too many, or if the lists are not
// sorted by unique IDs.
func changed(was, is []Host, wasKept, kept Keep) (gone, come []Host, ok bool) {
	keeps := len(wasKept)+len(kept) > 0
	for i, j := 0, 0; i < len(was) || j < len(is); {
		order := 0
		switch {
		case i == len(was):
			order = 1
		case j == len(is):
			order = -1
		default:
			order = was[i].ID.Compare(is[j].ID)
		}
		if i > 0 && i < len(was) && was[i-1].ID.Compare(was[i].ID) >= 0 || j > 0 && j < len(is) && is[j-1].ID.Compare(is[j].ID) >= 0 {
			return nil, nil, false
		}
		if order != 0 || !sameHere(&was[i], &is[j]) || keeps && wasKept[was[i].ID] != kept[is[j].ID] {
			if order <= 0 {
				gone = append(gone, was[i])
			}
			if order >= 0 {
				come = append(come, is[j])
			}
			if len(gone)+len(come) > fewHosts {
				return nil, nil, false
			}
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	return gone, come, true
}

// shared reports whether another host in peers has the address of a host in
// gone or come.
func shared(gone, come, peers []Host) bool {
	for _, some := range [][]Host{gone, come} {
		for i := range some {
			for j := range peers {
				if peers[j].Underlay == some[i].Underlay && peers[j].ID != some[i].ID {
					return true
				}
			}
		}
	}
	return false
}

// exchanged returns a sorted list without the elements of gone and with those
// of come. It returns ok false if an element of gone is not in the list, or if
// the place of an element of come is taken.
func exchanged[T comparable](list, gone, come []T, order func(a, b T) int) ([]T, bool) {
	if len(gone)+len(come) == 0 {
		return list, true
	}
	list = append(make([]T, 0, len(list)+len(come)), list...)
	for _, x := range gone {
		at, there := slices.BinarySearchFunc(list, x, order)
		if !there || list[at] != x {
			return nil, false
		}
		list = slices.Delete(list, at, at+1)
	}
	for _, x := range come {
		at, there := slices.BinarySearchFunc(list, x, order)
		if there {
			return nil, false
		}
		list = slices.Insert(list, at, x)
	}
	return list, true
}
