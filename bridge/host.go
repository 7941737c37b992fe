package bridge

import (
	"net"
	"net/netip"
)

// Spec is the desired state of the Linux side of this host: docker0 with its bip,
// the OVS bridge's device enslaved to it, and routes. The zero Spec desires that
// nothing of gremesh exists.
type Spec struct {
	Bridge  string       // Docker's Linux bridge, "docker0"; empty: remove everything that gremesh owns
	OVSPort string       // the OVS bridge's own device, enslaved to Bridge: "br0"
	Bip     netip.Prefix // Bridge's address within the host's subnet: 172.17.42.1/24
	MTU     int          // bytes, of Bridge and OVSPort
	Pool    netip.Prefix // the aggregate route's destination: 172.17.0.0/16
	Peers   []Peer       // the other hosts, each with its own route; empty: only the aggregate route
	NoFlood bool         // Bridge floods no broadcast, multicast or unknown unicast into OVSPort

	// GRE are Open vSwitch's tunnels. No other device may receive their packets.
	GRE []GRE
	// Unmasked is the device on which packets of other hosts' containers arrive
	// with the containers' own source addresses. Empty: there is none.
	Unmasked string

	Restore *RestoreSpec // the original state to restore, used only if Bridge is empty; nil: restore nothing
}

// RouteProtocol is the protocol number (rtnetlink(7), rtm_protocol) of every route
// that gremesh adds. gremesh never changes or deletes routes with another number.
const RouteProtocol = 77

// MAC returns the MAC address to which docker0 with this IPv4 address is pinned. It
// consists of 02:42 and the four bytes of the IPv4 address, so a peer can compute
// it. Docker derives the MAC addresses of containers from their own IPv4 addresses
// in the same way. Two MAC addresses therefore cannot collide.
func MAC(bip netip.Addr) net.HardwareAddr {
	ip := bip.As4()
	return net.HardwareAddr{0x02, 0x42, ip[0], ip[1], ip[2], ip[3]}
}
