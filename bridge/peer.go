package bridge

import (
	"fmt"
	"net"
	"net/netip"
)

// Peer is another host's subnet and the path to it. Without Via, packets go through
// the OVS bridge to the host's pinned MAC address. With Via, they go directly over
// the underlay.
type Peer struct {
	Bip  netip.Prefix // address of its docker0: 172.17.43.1/24
	Via  netip.Addr   // its underlay address, if packets go without a tunnel; zero: through the OVS bridge
	Link string       // the device that leads to Via; empty without Via
}

// Flood tells which frames without a known destination leave by a bridge port
// (bridge(8): flood, mcast_flood, bcast_flood). It applies to frames from other
// ports. It does not apply to multicast and broadcast frames of the bridge itself.
type Flood struct{ Unicast, Multicast, Broadcast bool }

func (f Flood) String() string {
	return fmt.Sprintf("flood %s mcast_flood %s bcast_flood %s", onOff(f.Unicast), onOff(f.Multicast), onOff(f.Broadcast))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func floodAll(on bool) Flood { return Flood{on, on, on} }

// Neighbour is a permanent entry of the neighbour table, ip-neighbour(8).
type Neighbour struct {
	IP  netip.Addr
	MAC net.HardwareAddr
}

// pinned reports whether an entry has the form that gremesh sets.
func (n Neighbour) pinned() bool { return isPinned(n.MAC, n.IP) }

// isPinned reports whether a MAC address is derived from an IP address by MAC.
func isPinned(mac net.HardwareAddr, ip netip.Addr) bool {
	made, ok := pinnedIP(mac)
	return ok && made == ip
}

// routes returns all desired routes: the aggregate route and one route to each peer.
// The aggregate route ends on docker0. It catches packets to addresses of the pool
// that no peer has.
func (h Spec) routes() []Route {
	if h.Bridge == "" {
		return nil
	}
	all := []Route{{Dst: h.Pool, Link: h.Bridge, Protocol: RouteProtocol}}
	for _, p := range h.Peers {
		all = append(all, h.routeTo(p))
	}
	return all
}

// routeTo returns the desired route to a peer.
func (h Spec) routeTo(p Peer) Route {
	r := Route{Dst: p.Bip.Masked(), Via: p.Bip.Addr(), Link: h.Bridge, Onlink: true, Protocol: RouteProtocol}
	if p.Via.IsValid() {
		// The source address must be in the pool: the peer accepts no other one.
		r.Via, r.Link, r.Src, r.Onlink = p.Via, p.Link, h.Bip.Addr(), false
	}
	return r
}

// diffRoutes returns the changes of routes. An equivalent route of another program
// is accepted instead of gremesh's own. Routes of other programs are never removed.
func diffRoutes(want Spec, have []Route) []Change {
	want.Peers, have = unsettled(want.Peers, have, (*Peer).subnetNumber, (*Route).dstNumber, func(p *Peer, r *Route) bool {
		w := want.routeTo(*p)
		return *r == w || r.Metric == 0 && r.serves(w)
	})
	missing := make(map[netip.Prefix]Route)
	for _, r := range want.routes() {
		missing[r.Dst] = r
	}
	replaced := make(map[netip.Prefix]Route)
	var gone []Change
	for _, r := range have {
		w, is := missing[r.Dst]
		switch {
		case r.Protocol == RouteProtocol && is && r == w, is && r.serves(w):
			delete(missing, r.Dst)
		case r.Protocol != RouteProtocol:
		case is && r.Metric == w.Metric:
			replaced[r.Dst] = r
		default:
			gone = append(gone, change(key("route", r.Dst.String(), ""), r.String(), "", delRoute{r}))
		}
	}
	var changes []Change
	for _, w := range want.routes() {
		if _, is := missing[w.Dst]; !is {
			continue
		}
		if old, is := replaced[w.Dst]; is {
			changes = append(changes, change(key("route", w.Dst.String(), ""), old.String(), w.String(), replaceRoute{w}))
		} else {
			changes = append(changes, change(key("route", w.Dst.String(), ""), "", w.String(), addRoute{w}))
		}
	}
	return append(changes, gone...)
}

// serves reports whether a route of another program is equivalent to w.
func (r Route) serves(w Route) bool {
	return r.Protocol != RouteProtocol && r.Protocol != protocolKernel && r.Dst == w.Dst && r.Via == w.Via && r.Link == w.Link &&
		(!w.Src.IsValid() || r.Src == w.Src)
}

// diffPeers returns the changes that pin the addresses of the peers' docker0s. It
// pins IP to MAC on the bridge, and MAC to the OVS bridge's port. No host therefore
// sends ARP requests for them to other hosts.
func diffPeers(want Spec, have State) []Change {
	return append(diffNeighbours(want, have.Neighbours), diffFDB(want, have)...)
}

func diffNeighbours(want Spec, have []Neighbour) []Change {
	want.Peers, have = unsettled(want.Peers, have, (*Peer).bipNumber, (*Neighbour).number, func(p *Peer, n *Neighbour) bool {
		return n.IP == p.Bip.Addr() && isPinned(n.MAC, n.IP)
	})
	is := make(map[netip.Addr]Neighbour)
	for _, n := range have {
		is[n.IP] = n
	}
	wanted := make(map[netip.Addr]bool)
	var changes []Change
	for _, p := range want.Peers {
		n := Neighbour{p.Bip.Addr(), MAC(p.Bip.Addr())}
		wanted[n.IP] = true
		if old := is[n.IP]; old.MAC.String() != n.MAC.String() {
			changes = append(changes, change(key("neighbour", n.IP.String(), ""), old.MAC.String(), n.MAC.String(), setNeighbour{want.Bridge, n}))
		}
	}
	for _, n := range have {
		if n.pinned() && want.owns(n.IP) && !wanted[n.IP] {
			changes = append(changes, change(key("neighbour", n.IP.String(), ""), n.MAC.String(), "", delNeighbour{want.Bridge, n}))
		}
	}
	return changes
}

// owns reports whether an address may belong to a docker0 of the mesh: it is in the
// pool. Without a pool, every address may.
func (h Spec) owns(ip netip.Addr) bool { return !h.Pool.IsValid() || h.Pool.Contains(ip) }

// diffFDB returns the changes of the forwarding database and of the flood flags of
// the port. It returns none while the port does not exist. When the port leaves the
// bridge, the kernel deletes its entries and resets its flags.
func diffFDB(want Spec, have State) []Change {
	if !have.OVSPort.Exists {
		return nil
	}
	if have.OVSPort.Master == want.Bridge {
		want.Peers, have.FDB = unsettled(want.Peers, have.FDB, (*Peer).macNumber, macNumber, func(p *Peer, mac *net.HardwareAddr) bool {
			return isPinned(*mac, p.Bip.Addr())
		})
	}
	is, wanted := make(map[string]bool), make(map[string]bool)
	flood := have.Flood
	if have.OVSPort.Master == want.Bridge {
		for _, mac := range have.FDB {
			is[mac.String()] = true
		}
	} else {
		flood = floodAll(true)
	}
	var changes []Change
	for _, p := range want.Peers {
		mac := MAC(p.Bip.Addr())
		wanted[mac.String()] = true
		if !is[mac.String()] {
			changes = append(changes, change(key("fdb", mac.String(), ""), "", "behind "+want.OVSPort, addFDB{want.OVSPort, mac}))
		}
	}
	for _, mac := range have.FDB {
		if ip, ok := pinnedIP(mac); ok && is[mac.String()] && want.owns(ip) && !wanted[mac.String()] {
			changes = append(changes, change(key("fdb", mac.String(), ""), "behind "+want.OVSPort, "", delFDB{want.OVSPort, mac}))
		}
	}
	if f := floodAll(!want.NoFlood); flood != f {
		changes = append(changes, change(key("link", want.OVSPort, "flooding"), flood.String(), f.String(), setFlood{want.OVSPort, f}))
	}
	return changes
}

// pinnedIP returns the IP address from which MAC derives a MAC address. It returns
// false if MAC cannot return this MAC address.
func pinnedIP(mac net.HardwareAddr) (netip.Addr, bool) {
	if len(mac) != 6 || mac[0] != 0x02 || mac[1] != 0x42 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(mac[2:])), true
}
