package bridge

import (
	"net"
	"net/netip"
)

// Host is what the Linux side of this host should be: docker0 with its bip,
// the switch enslaved to it, and the aggregate route. The zero Host desires
// nothing of ours at all.
type Host struct {
	Bridge string       // Docker's Linux bridge, "docker0"; empty: nothing of ours
	Port   string       // the OVS bridge's own device, enslaved to Bridge: "br0"
	Bip    netip.Prefix // Bridge's address within the host's subnet: 172.17.42.1/24
	MTU    int          // bytes, of Bridge and Port
	Pool   netip.Prefix // the aggregate route's destination: 172.17.0.0/16
	Peers  []Peer       // the others, each with a route of its own; none: the aggregate alone leads to them
	Quiet  bool         // nothing is flooded into the switch: no broadcast, multicast or unknown unicast

	// GRE are the tunnels whose packets no other device may take.
	GRE []GRE
	// Unmasked is the device at which containers of other hosts arrive with
	// their own addresses; empty: none.
	Unmasked string

	Back *Back // without Bridge: what to put back; nil: nothing
}

// RouteProtocol is the protocol number (rtnetlink(7), rtm_protocol) of every
// route that gremesh makes; routes with another number are never touched.
const RouteProtocol = 77

// MAC is the address that a bridge with this bip is pinned to: 02:42 and the
// four bytes of the address, so that a peer can compute it. Docker gives its
// containers addresses of the same form, from theirs, so none can collide.
func MAC(bip netip.Addr) net.HardwareAddr {
	ip := bip.As4()
	return net.HardwareAddr{0x02, 0x42, ip[0], ip[1], ip[2], ip[3]}
}
