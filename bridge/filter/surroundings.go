package filter

import (
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Surroundings is what the rules of the Guard depend on, beside the mesh.
type Surroundings struct {
	Docker0 []netip.Prefix // addresses of Docker's bridge
	Devices []Device       // tunnel devices of other programs
}

// Device is a tunnel of another program on this host: a device of the kernel, or
// a port of Open vSwitch.
type Device struct {
	Kind   string     // "gre", "vxlan" or "geneve"
	Remote netip.Addr // far end; zero: it receives from any address
	Bridge string     // of Open vSwitch; empty: a device of the kernel
}

// view is what the rules depend on.
type view struct {
	Surroundings
	seen      bool // Open vSwitch has been observed
	userspace bool // its tunnel packets do not pass nftables
	settled   bool // Docker uses the bip
}

// viewOf gathers what the upstream of Component has observed.
func viewOf(upstream map[string]reconcile.Result, around Surroundings) view {
	v := view{Surroundings: around, settled: upstream["docker"].Settled()}
	ovs, ok := upstream["ovs"].State.(interface {
		IsUserspace() bool
		EachForeignTunnel(func(kind string, remote netip.Addr, bridge string))
	})
	if !ok {
		return v
	}
	v.seen, v.userspace = true, ovs.IsUserspace()
	v.Devices = slices.Clone(v.Devices)
	ovs.EachForeignTunnel(func(kind string, remote netip.Addr, bridge string) {
		v.Devices = append(v.Devices, Device{kind, remote, bridge})
	})
	return v
}

// adapted returns the rules for a host in its surroundings: which tunnel packets
// its kernel receives, which other tunnels it has, and whether its containers
// have addresses of its subnet.
func (r Rules) adapted(v view) Rules {
	g := &r.Guard
	if g.Port == "" {
		return r
	}
	g.Settled = v.settled || slices.ContainsFunc(v.Docker0, func(a netip.Prefix) bool { return a.Masked() == r.Subnet })
	if v.userspace || !v.seen {
		g.Tunnels = nil
	}
	g.Others, g.Wild = nil, nil
	for _, d := range v.Devices {
		known := d.Remote.IsValid() && contains(g.Hosts, d.Remote)
		g.Open = g.Open || d.Bridge == g.Port && (!d.Remote.IsValid() || !g.hasSource(d.Remote))
		switch {
		case len(g.Tunnels) == 0 || known:
		case !d.Remote.IsValid():
			g.Wild = append(g.Wild, d.Kind)
		case len(g.Hosts) > 0 && d.Remote.Is4() == g.Hosts[0].Is4():
			g.Others = append(g.Others, d.Remote)
		}
	}
	slices.SortFunc(g.Others, netip.Addr.Compare)
	g.Others = slices.Compact(g.Others)
	slices.Sort(g.Wild)
	g.Wild = slices.Compact(g.Wild)
	return r
}

func contains(sorted []netip.Addr, a netip.Addr) bool {
	_, ok := slices.BinarySearchFunc(sorted, a, netip.Addr.Compare)
	return ok
}

// hasSource reports whether it is known what the host at an underlay address
// sends: it holds a lease, and this host has a tunnel to it.
func (g Guard) hasSource(at netip.Addr) bool {
	if at.Is6() { // is no source in the pool's protocol
		return contains(g.Hosts, at)
	}
	return slices.ContainsFunc(g.Sources, func(s Source) bool { return s.Net == netip.PrefixFrom(at, at.BitLen()) })
}
