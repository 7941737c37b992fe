package masq

import (
	"cmp"
	"net/netip"
	"slices"
)

// Guard describes what containers must not do to the mesh, and what may come out
// of its tunnels. The zero Guard forbids nothing.
type Guard struct {
	Bridge string // Docker's bridge: docker0
	Port   string // Open vSwitch's device in it, which leads into the tunnels: br0
	Link   string // the device that has the underlay address; empty: any but a bridge

	// Services are the ports of this host, TCP and UDP, that no container
	// reaches: gossip and metrics. Those of the other hosts are the same.
	Services []uint16
	// Hosts are the underlay addresses of all hosts of the mesh, this one's
	// included, all of one family, sorted. A member without a subnet, because it
	// joins or because another host took its subnet, is one of them: containers
	// must not reach its tunnels and gossip either. Its tunnel packets are accepted,
	// and Open vSwitch drops them because it has no port for them.
	Hosts []netip.Addr
	// Sources are what may come out of the tunnels, sorted.
	Sources []Source

	// Settled says that Docker uses Subnet. Until then containers have other
	// addresses, which this Guard leaves alone.
	Settled bool
	// Open says that hosts without an agent are behind the tunnels, whose
	// addresses are not known: what belongs to no known host passes.
	Open bool
	// Domain says that the hosts are one broadcast domain (flood: on).
	Domain bool
	// BFD says that Open vSwitch takes UDP port 3784 out of the tunnels for its
	// own sessions.
	BFD bool

	// Tunnels are the mesh's tunnel types, as far as this host's kernel receives
	// their packets, sorted: "gre". Empty where Open vSwitch's userspace datapath does.
	Tunnels []string
	// Blind says that nothing marks what comes out of tunnels: Diff sets it where the
	// kernel lacks the bridge family.
	Blind bool

	// Wild are the tunnel types, sorted, that another program of this host takes
	// from any address: only the peers' addresses are looked at then.
	Wild []string
	// Others are the far ends of this host's other tunnels, sorted: what comes
	// from them is not the mesh's to judge.
	Others []netip.Addr
}

// Source is a network that one peer may use as the source of its packets. All
// that a peer sends into a tunnel is routed, so it has the MAC address of the
// peer's docker0.
type Source struct {
	MAC string // 02:42:ac:11:2b:01
	Net netip.Prefix
}

// Compare orders sources by MAC address, then by network.
func (s Source) Compare(o Source) int {
	return cmp.Or(cmp.Compare(s.MAC, o.MAC), s.Net.Compare(o.Net))
}

func (s Source) String() string { return s.MAC + " . " + network(s.Net) }

// Marks in the packet mark (nfmark). They are set by the tables of ours and are
// gone when a packet enters a container, so that no container can forge them.
const (
	// TunnelMark says that a packet came out of a tunnel.
	TunnelMark = 0x10000000
	// MeshMark says that a packet is mesh traffic: it came from a peer with a
	// source of that peer, or goes from a container of this host to another host.
	MeshMark = 0x20000000
)

// AcceptMark is MeshMark with its mask, as Docker 29 has it in
// bridge-accept-fwmark.
const AcceptMark = "0x20000000/0x20000000"

// Tunnel protocols: GRE is IP protocol 47, the others are UDP ports.
var tunnelPorts = map[string]uint16{"vxlan": 4789, "geneve": 6081}

const (
	greProtocol = "meta l4proto 47"
	tunnelUDP   = "udp dport { 4789, 6081 }"
	bfdPort     = "udp dport 3784" // RFC 5881
)

// taken are the pool's networks that a known peer has.
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
