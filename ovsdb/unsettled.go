package ovsdb

import (
	"cmp"
	"net/netip"
	"slices"
)

// unsettled leaves out the tunnels that are as they should be, and their ports:
// what has to be done is the same without them, and of a thousand tunnels it is
// all but a few. What leads to the same host as something that is not settled
// stays in, since that may be in its way.
func unsettled(want Switch, have Actual) (Switch, Actual) {
	byName := func(a, b Tunnel) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(have.Ports, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) }) {
		return want, have
	}
	if !slices.IsSortedFunc(want.Tunnels, byName) {
		want.Tunnels = slices.SortedStableFunc(slices.Values(want.Tunnels), byName)
	}
	remotes := make(map[netip.Addr]bool)
	walk(want, have, func(t *Tunnel, p *Port) {
		switch {
		case t != nil && p != nil && p.settled(want, t):
			return
		case t != nil:
			remotes[t.Remote] = true
		}
		if p != nil {
			remotes[p.Remote] = true
		}
	})
	var tunnels []Tunnel
	var ports []Port
	walk(want, have, func(t *Tunnel, p *Port) {
		if t != nil && p != nil && p.settled(want, t) && !remotes[t.Remote] {
			return
		}
		if t != nil {
			tunnels = append(tunnels, *t)
		}
		if p != nil {
			ports = append(ports, *p)
		}
	})
	want.Tunnels, have.Ports = tunnels, ports
	return want, have
}

// walk visits tunnels and ports, sorted by name and together where they have the
// same one; nil: there is none.
func walk(want Switch, have Actual, visit func(*Tunnel, *Port)) {
	i, j := 0, 0
	for i < len(want.Tunnels) || j < len(have.Ports) {
		order := 0
		switch {
		case i == len(want.Tunnels):
			order = 1
		case j == len(have.Ports):
			order = -1
		default:
			order = cmp.Compare(want.Tunnels[i].Name, have.Ports[j].Name)
		}
		var t *Tunnel
		var p *Port
		if order <= 0 {
			t = &want.Tunnels[i]
			i++
		}
		if order >= 0 {
			p = &have.Ports[j]
			j++
		}
		visit(t, p)
	}
}

// settled tells whether a port is all that a tunnel of its name should be, and
// works.
func (p *Port) settled(want Switch, t *Tunnel) bool {
	return p.Ours && p.Tunnel == *t && p.Bridge == want.Bridge && p.Mesh == want.Mesh && p.Protected && !p.Adopted &&
		p.Unreadable == nil && len(p.Interfaces) == 1 && p.Interfaces[0] == p.Name && p.Error == "" && p.OfPort >= 0
}
