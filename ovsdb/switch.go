package ovsdb

import (
	"fmt"
	"net/netip"
)

// Switch is what Open vSwitch should hold on this host: one bridge and a
// tunnel to every peer. The zero Switch desires nothing of ours at all.
type Switch struct {
	Bridge   string // Bridge name, "br0"; empty: no bridge and no tunnel of ours
	Datapath string // Bridge datapath_type: "system", "netdev", or empty for OVS's default
	MTU      int    // bytes; Interface mtu_request of the bridge's own port; 0: left alone
	Mesh     string // the mesh's ID, written to external_ids
	Tunnels  []Tunnel

	// Back, without Bridge, has no mark of ours stay, and a bridge of others
	// made as it was; nil: such a bridge is left alone.
	Back *Former
}

// Tunnel is one port that leads to one peer. Its identity for OVS is Type,
// Remote, Local and Key together: no two ports may share all four
// (ovs-vswitchd.conf.db(5), Interface options).
type Tunnel struct {
	Name   string     // Port and Interface name, 15 bytes at most: "gre43"
	Type   string     // "gre", "vxlan" or "geneve"; the Interface's type, but for GRE over IPv6: ip6gre
	Remote netip.Addr // options:remote_ip, the peer's underlay address
	Local  netip.Addr // options:local_ip, this host's underlay address
	Key    uint32     // options:key; 0: none
	BFD    bool       // bfd:enable
	MAC    MAC        // that is behind it, a static entry of the bridge's forwarding table; zero: the bridge learns
	Peer   Peer       // external_ids, so that ovs-vsctl reads as an audit
}

// Peer says where a tunnel leads.
type Peer struct {
	ID     string       // the peer's host ID
	Name   string       // the peer's name
	Subnet netip.Prefix // the peer's subnet of the pool
}

// String says where the tunnel leads: "gre to 192.0.2.2 (h2, 172.17.43.0/24)".
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
