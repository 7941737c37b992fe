package ovsdb

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// Prune removes the tunnels that are in their desired state, with their
// ports and static entries. Diff and Conflicts return the same without them. In
// a mesh of a thousand tunnels almost all are settled. A settled tunnel stays
// in if something unsettled leads to the same host, because the two may
// conflict. If have.Ports is not sorted by name, Prune removes nothing.
func Prune(want Spec, have State) (Spec, State) {
	for i := 1; i < len(have.Ports); i++ {
		if have.Ports[i].Name < have.Ports[i-1].Name {
			return want, have
		}
	}
	for i := 1; i < len(want.Tunnels); i++ {
		if want.Tunnels[i].Name < want.Tunnels[i-1].Name {
			want.Tunnels = slices.SortedStableFunc(slices.Values(want.Tunnels), func(a, b Tunnel) int { return cmp.Compare(a.Name, b.Name) })
			break
		}
	}
	remotes := make(map[netip.Addr]bool) // remotes of unsettled tunnels and ports
	entries := 0                         // number of settled tunnels with a static entry and bindings
	walk(want, have, func(t *Tunnel, p *Port) {
		switch {
		case t == nil:
			remotes[p.Remote] = true
		case p == nil:
			remotes[t.Remote] = true
		case !p.converged(want, have, t):
			remotes[p.Remote], remotes[t.Remote] = true, true
		case t.MAC != MAC{}:
			entries++
		}
	})
	static := have.Static
	if static != nil {
		static = make(map[MAC]int)
		if entries != len(have.Static) {
			static = unmatchedEntries(want, have, remotes)
		}
	}
	bound, _ := have.bound()
	bindings := make(map[Binding]bool)
	if 2*entries != len(bound) || !have.mayBind() {
		bindings = unboundFrom(want, have, bound)
	}
	var tunnels []Tunnel
	var ports []Port
	if f := have.Forwarding; f != nil {
		less := *f
		less.Bindings = bindings
		have.Forwarding = &less
	}
	if len(remotes) == 0 {
		want.Tunnels, have.Ports, have.Static = nil, nil, static
		return want, have
	}
	walk(want, have, func(t *Tunnel, p *Port) {
		if t != nil && p != nil && !remotes[t.Remote] {
			return
		}
		if t != nil {
			tunnels = append(tunnels, *t)
			if at, is := have.Static[t.MAC]; is {
				static[t.MAC] = at
			}
			for _, b := range bindingsOf(*t) {
				if bound[b] {
					bindings[b] = true
				}
			}
		}
		if p != nil {
			ports = append(ports, *p)
		}
	})
	want.Tunnels, have.Ports, have.Static = tunnels, ports, static
	return want, have
}

// unmatchedEntries returns the static entries that do not belong to settled
// tunnels. It adds the remotes of the tunnels behind which such entries are to
// remotes.
func unmatchedEntries(want Spec, have State, remotes map[netip.Addr]bool) map[MAC]int {
	entries := maps.Clone(have.Static)
	settled := make(map[int]netip.Addr) // remotes by port number
	walk(want, have, func(t *Tunnel, p *Port) {
		if t != nil && p != nil && p.converged(want, have, t) {
			if t.MAC != (MAC{}) {
				delete(entries, t.MAC)
			}
			settled[p.OfPort] = t.Remote
		}
	})
	for _, at := range entries {
		if remote, is := settled[at]; is {
			remotes[remote] = true
		}
	}
	return entries
}

// unboundFrom returns the bindings that do not belong to settled tunnels.
func unboundFrom(want Spec, have State, bound map[Binding]bool) map[Binding]bool {
	bindings := maps.Clone(bound)
	if !have.mayBind() {
		return bindings
	}
	walk(want, have, func(t *Tunnel, p *Port) {
		if t != nil && p != nil && p.converged(want, have, t) {
			for _, b := range bindingsOf(*t) {
				delete(bindings, b)
			}
		}
	})
	return bindings
}

// walk visits tunnels and ports in the order of their names. It visits a tunnel
// and a port of the same name together; otherwise the missing one is nil.
func walk(want Spec, have State, visit func(*Tunnel, *Port)) {
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

// converged reports whether a port works and has the desired state of the tunnel
// with its name.
func (p *Port) converged(want Spec, have State, t *Tunnel) bool {
	is := p.Tunnel
	is.MAC = t.MAC // the MAC is in no column of the port
	if !p.Ours || is != *t || p.Bridge != want.Bridge || p.Mesh != want.Mesh || !p.Protected || p.Adopted || len(p.Settings) > 0 ||
		p.Unreadable != nil || len(p.Interfaces) != 1 || p.Interfaces[0] != p.Name || p.Error != "" || p.OfPort <= 0 {
		return false
	}
	if f := have.Forwarding; f != nil && f.Flags[p.Name] != 0 {
		return false
	}
	if t.MAC != (MAC{}) && !have.isBound(*t) {
		return false
	}
	if t.MAC == (MAC{}) || have.Static == nil {
		return true
	}
	at, there := have.Static[t.MAC]
	return there && at == p.OfPort
}
