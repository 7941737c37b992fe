package filter

import (
	"cmp"
	"net/netip"
	"slices"
)

// Guard restricts the traffic of containers to the mesh, and the traffic that
// comes out of its tunnels. The zero Guard forbids nothing.
type Guard struct {
	Bridge string // Docker's bridge: docker0
	Port   string // Open vSwitch's device in that bridge, which leads into the tunnels: br0
	Link   string // the device with the underlay address; if empty, any device but a bridge

	// Services are the TCP and UDP ports of this host that no container may
	// reach: gossip and metrics. The other hosts use the same ports.
	Services []uint16
	// Hosts are the underlay addresses of all hosts of the mesh, including this
	// one. They are sorted and of one family. They include members without a
	// subnet: a member has none while it joins, or after another host took its
	// subnet. Containers must not reach such a member's tunnels and gossip
	// either. Its tunnel packets are accepted, and Open vSwitch drops them
	// because it has no port for them.
	Hosts []netip.Addr
	// Sources are the sources that packets out of the tunnels may have, sorted.
	Sources []Source

	// Settled reports whether Docker uses Subnet. Until then containers have
	// other addresses, and the Guard does not forbid these.
	Settled bool
	// Open reports whether hosts without an agent are behind the tunnels. Their
	// addresses are unknown, so a packet passes if its source belongs to no
	// known host.
	Open bool
	// Domain reports whether the hosts are one broadcast domain (flood: on).
	Domain bool
	// BFD reports whether Open vSwitch takes UDP port 3784 out of the tunnels
	// for its own sessions.
	BFD bool

	// Tunnels are the mesh's tunnel types whose packets this host's kernel
	// receives, sorted: "gre". It is empty if Open vSwitch's userspace datapath
	// receives them.
	Tunnels []string
	// Blind reports whether packets out of tunnels have no mark. Diff sets it
	// if the kernel lacks the bridge family.
	Blind bool

	// Wild are the tunnel types, sorted, that another program of this host
	// receives from any address. For these types, the Guard checks only packets
	// from the peers' addresses.
	Wild []string
	// Others are the far ends of this host's other tunnels, sorted. The Guard
	// accepts their tunnel packets.
	Others []netip.Addr
}

// Source is a network that one peer may use as the source of its packets. A
// peer routes all packets that it sends into a tunnel. They therefore have the
// MAC address of the peer's docker0.
type Source struct {
	MAC string // such as 02:42:ac:11:2b:01
	Net netip.Prefix
}

// Compare orders sources by MAC address, then by network.
func (s Source) Compare(o Source) int {
	return cmp.Or(cmp.Compare(s.MAC, o.MAC), s.Net.Compare(o.Net))
}

func (s Source) String() string { return s.MAC + " . " + network(s.Net) }

// Marks in the packet mark (nfmark). Our tables set them. The kernel removes
// them when a packet enters a container, so no container can forge them.
const (
	// TunnelMark marks a packet that came out of a tunnel.
	TunnelMark = 0x10000000
	// MeshMark marks mesh traffic. The packet came from a peer with a source of
	// that peer, or it goes from a container of this host to another host.
	MeshMark = 0x20000000
)

// AcceptMark is MeshMark with its mask, in the format of Docker 29's key
// bridge-accept-fwmark.
const AcceptMark = "0x20000000/0x20000000"

// tunnelPorts maps tunnel types to their UDP ports. GRE has none, because it is
// IP protocol 47.
var tunnelPorts = map[string]uint16{"vxlan": 4789, "geneve": 6081}

const (
	greProtocol = "meta l4proto 47"
	tunnelUDP   = "udp dport { 4789, 6081 }"
	bfdPort     = "udp dport 3784" // RFC 5881
)

// taken returns the networks of the pool that known peers have, sorted.
func (g Guard) taken(pool netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range g.Sources {
		if within(s.Net, pool) {
			all = append(all, s.Net)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}
