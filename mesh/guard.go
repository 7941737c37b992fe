package mesh

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// guard returns the rules that protect the mesh from containers, and that
// restrict what may come out of its tunnels. The rules depend on the mesh only.
// The function guarded adds what depends on the current state of this host.
func (c Config) guard(view View, tunnels []ovsdb.Tunnel) filter.Guard {
	g := filter.Guard{
		Bridge: c.Bridge, Port: c.Switch, Link: c.UnderlayLink, Services: c.Services,
		Domain: c.Flood, BFD: c.Tunnel.BFD, Settled: true, Tunnels: slices.Sorted(slices.Values(c.Tunnel.Types())),
	}
	if c.Datapath == userspace {
		g.Tunnels = nil
	}
	self := view.Self
	g.Hosts = append(g.Hosts, self.Underlay)
	for i := range view.Peers {
		if p := &view.Peers[i]; p.Underlay.IsValid() && p.Liveness != Left && p.Underlay.Is4() == self.Underlay.Is4() {
			g.Hosts = append(g.Hosts, p.Underlay)
		}
	}
	slices.SortFunc(g.Hosts, netip.Addr.Compare)
	g.Hosts = slices.Compact(g.Hosts)
	for i := range tunnels {
		t := &tunnels[i]
		mac := bridge.MAC(lease.Bip(t.Peer.Subnet).Addr()).String()
		g.Sources = append(g.Sources, filter.Source{MAC: mac, Net: t.Peer.Subnet})
		if t.Remote.Is4() {
			g.Sources = append(g.Sources, filter.Source{MAC: mac, Net: hostPrefix(t.Remote)})
		}
	}
	slices.SortFunc(g.Sources, filter.Source.Compare)
	return g
}

// userspace is the datapath_type whose tunnel packets do not pass the kernel.
const userspace = "netdev"

// guarded adapts the guard to the current state of this host: how tunnel
// packets arrive, which other tunnels exist, and whether Docker uses the
// subnet.
func guarded(want filter.Rules, ovs ovsdb.State, foreign []bridge.Tunnel, settled bool) filter.Rules {
	g := &want.Guard
	if g.Port == "" {
		return want
	}
	g.Settled = settled
	if ovs.Bridge.Datapath == userspace {
		g.Tunnels = nil
	}
	other := func(a netip.Addr) {
		_, known := slices.BinarySearchFunc(g.Hosts, a, netip.Addr.Compare)
		if !known && a.Is4() == g.Hosts[0].Is4() && !slices.Contains(g.Others, a) {
			g.Others = append(g.Others, a)
		}
	}
	g.Others, g.Wild = nil, nil
	wild := func(kind string) {
		if !slices.Contains(g.Wild, kind) {
			g.Wild = append(g.Wild, kind)
		}
	}
	for i := range ovs.Ports {
		p := &ovs.Ports[i]
		if p.Ours {
			continue
		}
		switch {
		case p.Unreadable["options:remote_ip"] != "":
			wild(p.Type)
		case p.Remote.IsValid():
			other(p.Remote)
		default:
			continue
		}
		g.Open = g.Open || p.Bridge == g.Port && !hasSource(*g, p.Remote)
	}
	if len(g.Tunnels) == 0 {
		g.Others, g.Wild = nil, nil
		return want
	}
	for _, t := range foreign {
		if t.Remote.IsValid() {
			other(t.Remote)
		} else {
			wild(t.Kind)
		}
	}
	slices.SortFunc(g.Others, netip.Addr.Compare)
	slices.Sort(g.Wild)
	return want
}

// here is the state of this host that the guard depends on, as the last passes
// saw it.
type here struct {
	ovs     ovsdb.State
	seen    bool // ovs has been observed at least once
	foreign []bridge.Tunnel
	looked  bool // foreign has been observed at least once
	settled bool // Docker uses the subnet
	lacks   []string
}

// guarded adapts the rules to this host as the last passes saw it. Until both
// Open vSwitch and the kernel have been observed, the rules do not restrict
// tunnel packets.
func (l *Loop) guarded(want filter.Rules) filter.Rules {
	want = guarded(want, l.here.ovs, l.here.foreign, l.here.settled)
	if !l.here.seen || !l.here.looked {
		want.Guard.Tunnels = nil
	}
	return want
}

// look updates the state that the guard depends on. It observes the kernel's
// devices only if the kernel receives the tunnel packets, and only until that
// has succeeded once. After that, the kernel component observes them.
func (l *Loop) look(ctx context.Context, ovs ovsdb.State, seen bool) error {
	if seen {
		l.here.ovs, l.here.seen = ovs, true
	}
	if l.here.looked || l.here.ovs.Bridge.Datapath == userspace {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	have, err := l.cfg.Kernel.Observe(ctx)
	if err != nil {
		return err
	}
	l.here.foreign, l.here.looked = have.Tunnels, true
	return nil
}

// docker0Settled reports whether containers have addresses of the subnet. That
// is so if Docker uses the subnet, or if docker0 has an address of it although
// Docker does not use it yet.
func (l *Loop) docker0Settled(settled bool) bool {
	r := l.engine.Last().Result(filterComponent)
	have, ok := r.State.(filter.Observation)
	return settled || ok && slices.ContainsFunc(have.Docker0, func(a netip.Prefix) bool { return a.Masked() == l.desired.spec.NAT.Subnet })
}

// hasSource reports whether this host knows the source addresses behind an
// underlay address. It knows them if the host there holds a lease and this host
// has a tunnel to it.
func hasSource(g filter.Guard, at netip.Addr) bool {
	if at.IsValid() && at.Is6() { // Sources has no IPv6 addresses, because the pool is IPv4
		_, known := slices.BinarySearchFunc(g.Hosts, at, netip.Addr.Compare)
		return known
	}
	return at.IsValid() && slices.ContainsFunc(g.Sources, func(s filter.Source) bool { return s.Net == hostPrefix(at) })
}

// guardText returns a text for status about how packets from the tunnels are
// checked.
func guardText(g filter.Guard, lacks []string, key uint32) string {
	if g.Port == "" {
		return ""
	}
	by := "remote_ip and local_ip"
	if key != 0 {
		by = "remote_ip, local_ip and key"
	}
	var parts []string
	if len(g.Tunnels) == 0 {
		parts = append(parts, "tunnel packets do not pass nftables (userspace datapath): Open vSwitch checks "+by)
	} else if !slices.Contains(lacks, "inet") {
		parts = append(parts, "tunnel packets are accepted from peers only, and Open vSwitch checks "+by)
	}
	if g.Open {
		parts = append(parts, "hosts without an agent are behind tunnels of "+g.Port+", so sources of the pool that no known host has pass")
	}
	return strings.Join(parts, "; ")
}
