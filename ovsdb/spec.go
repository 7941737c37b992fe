package ovsdb

import (
	"fmt"
	"net/netip"
)

// Spec is the desired state of Open vSwitch on this host: one bridge, and a
// tunnel to every peer. The zero Spec contains nothing of gremesh.
type Spec struct {
	Bridge   string // Bridge name, "br0"; empty: no bridge and no tunnel of gremesh
	Datapath string // Bridge datapath_type: "system", "netdev", or empty for Open vSwitch's default
	MTU      int    // bytes; Interface mtu_request of the bridge's own port; 0: not changed
	Mesh     string // the mesh's ID, for external_ids
	Tunnels  []Tunnel

	// Back is used only if Bridge is empty. It then removes all marks of
	// gremesh and restores the original state of another program's bridge. If
	// it is nil, such a bridge is not changed.
	Back *Original
}

// Tunnel is one port that leads to one peer. Open vSwitch identifies it by
// Type, Remote, Local and Key together. No two ports may have all four in
// common (ovs-vswitchd.conf.db(5), Interface options).
type Tunnel struct {
	Name   string     // Port and Interface name, at most 15 bytes: "gre43"
	Type   string     // "gre", "vxlan" or "geneve"; also the Interface's type, except for GRE over IPv6: ip6gre
	Remote netip.Addr // options:remote_ip, the peer's underlay address
	Local  netip.Addr // options:local_ip, this host's underlay address
	Key    uint32     // options:key; 0: none
	BFD    bool       // bfd:enable
	MAC    MAC        // address of the peer's docker0 in a static entry of the bridge's forwarding table; zero: the bridge learns
	Peer   Peer       // external_ids, so that the output of ovs-vsctl shows the peer
}

// Peer describes the host at the other end of a tunnel.
type Peer struct {
	ID     string       // the peer's host ID
	Name   string       // the peer's name
	Subnet netip.Prefix // the peer's subnet of the pool
}

// String returns the type and the peer: "gre to 192.0.2.2 (h2,
// 172.17.43.0/24)".
func (t Tunnel) String() string {
	s := fmt.Sprintf("%s to %s", t.Type, t.Remote)
	if t.Key != 0 {
		s += fmt.Sprintf(" key %d", t.Key)
	}
	if t.Peer.Name != "" {
		s += fmt.Sprintf(" (%s, %s)", t.Peer.Name, t.Peer.Subnet)
	}
	return s
}
