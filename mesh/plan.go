package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Config is what the operator decided for this host, checked.
type Config struct {
	Space        lease.Space
	Switch       string // OVS bridge: br0
	Datapath     string // system, netdev, or empty for OVS's default
	Bridge       string // Docker's bridge: docker0
	Tunnel       TunnelConfig
	PerPeer      bool           // a route to each peer, beside the aggregate one
	Direct       bool           // peers in this host's underlay network are reached without a tunnel
	UnderlayLink string         // the device that has the underlay address
	Flood        bool           // one broadcast domain; else hosts keep broadcasts to themselves
	UnderlayMTU  int            // bytes, of the NIC that has the underlay address; counts while no path is known
	PeerGrace    time.Duration  // how long a silent peer keeps its tunnel after BFD went down
	NAT          masq.FileState // what the operator says about masquerading
	Services     []uint16       // ports of this agent that no container may reach, TCP and UDP: gossip, metrics

	// What a preview names for people.
	DaemonJSON    string   // path
	DockerRestart []string // command; empty: a person restarts Docker
}

// TunnelConfig is common to all tunnels, and the same on every host.
type TunnelConfig struct {
	Type     string   // gre, vxlan or geneve
	Fallback []string // types that a pair moves to, in this order, when Type does not get through
	Key      uint32   // GRE key, VXLAN or Geneve network identifier; 0: none
	BFD      bool
	// Retry is how long a pair that has moved stays before Type is tried again.
	// Hosts may differ in it: that of the one which decides for the pair counts.
	Retry time.Duration
}

// ValidTunnelType tells whether a tunnel may be of that type.
func ValidTunnelType(t string) bool { return t == "gre" || t == "vxlan" || t == "geneve" }

// Types are all that a pair may have, the preferred one first.
func (t TunnelConfig) Types() []string { return append([]string{t.Type}, t.Fallback...) }

// Overhead is what the tunnels take from the underlay's MTU, in bytes: that of
// the type which takes most, so that a pair can move to it. It is the outer
// IPv4 header 20, or 40 of IPv6 (RFC 8200), the inner Ethernet header 14, and for GRE 4 (RFC 2784) with 4
// more for a key (RFC 2890), for VXLAN UDP 8 and VXLAN 8 (RFC 7348), for Geneve
// UDP 8 and Geneve without options 8 (RFC 8926).
func (t TunnelConfig) Overhead(underlay netip.Addr) int {
	most := 0
	for _, of := range t.Types() {
		overhead := 50
		switch {
		case of == "gre" && t.Key != 0:
			overhead = 42
		case of == "gre":
			overhead = 38
		}
		most = max(most, overhead)
	}
	if underlay.Is6() {
		most += 20
	}
	return most
}

// TunnelName is the port that leads to a peer: gre43 to 172.17.43.0/24. The
// number is the subnet's place in the pool.
func (c Config) TunnelName(peer Host) string {
	return c.tunnelType(peer) + strconv.Itoa(c.Space.Index(peer.Subnet))
}

// tunnelType is that of the mesh, unless the pair has moved to another of those
// that are configured.
func (c Config) tunnelType(peer Host) string {
	if slices.Contains(c.Tunnel.Fallback, peer.Tunnel) {
		return peer.Tunnel
	}
	return c.Tunnel.Type
}

// Desired is what this host should have.
type Desired struct {
	Switch ovsdb.Switch
	Host   bridge.Host
	Docker docker.Settings
	NAT    masq.Rules
}

// Plan computes what this host should have. Without a lease there is nothing
// that it should have and nothing that it should not: it returns nil, and
// whatever is on the machine stays.
func Plan(cfg Config, view View, keep Keep) (*Desired, []Problem) {
	if !view.Self.Subnet.IsValid() {
		return nil, nil
	}
	cfg = cfg.in(view)
	bip := lease.Bip(view.Self.Subnet)
	mtu, _ := cfg.MTU(view, keep)
	desired := &Desired{
		Switch: ovsdb.Switch{Bridge: cfg.Switch, Datapath: cfg.Datapath, MTU: mtu, Mesh: view.Mesh},
		Host:   bridge.Host{Bridge: cfg.Bridge, Port: cfg.Switch, Bip: bip, MTU: mtu, Pool: cfg.Space.Pool, Quiet: !cfg.Flood},
		Docker: docker.Settings{Bip: bip, MTU: mtu, Direct: cfg.Direct, Accept: masq.AcceptMark},
	}
	if view.Self.Cut {
		// Its containers go on, and must not reach the tunnels and the gossip of
		// hosts any more than before.
		desired.NAT = masq.Rules{Pool: cfg.Space.Pool, Subnet: view.Self.Subnet, Guard: cfg.guard(view, nil)}
		return desired, nil
	}
	problems := slices.Concat(natProblems(cfg.NAT), cfg.tunnelProblems(view))
	ends := make(map[netip.Addr]*Host, len(view.Peers)+1)
	ends[view.Self.Underlay] = &view.Self
	desired.Switch.Tunnels = make([]ovsdb.Tunnel, 0, len(view.Peers))
	for _, peer := range aliveFirst(view.Peers) {
		if !wantsTunnel(peer, keep) {
			continue
		}
		if other, taken := ends[peer.Underlay]; taken {
			if peer.Liveness == Failed { // another host has its address now, such as itself made anew
				continue
			}
			problems = append(problems, Problem{
				What: fmt.Sprintf("no tunnel to %s: it says that it is at %s, and so does %s", peer.Name, peer.Underlay, other.Name),
				Do:   "give every host an underlay address of its own (node.advertise)",
			})
			continue
		}
		ends[peer.Underlay] = peer
		id := ""
		if !peer.ID.IsZero() { // a peer that is assumed has none
			id = peer.ID.String()
		}
		desired.Switch.Tunnels = append(desired.Switch.Tunnels, ovsdb.Tunnel{
			Name: cfg.TunnelName(*peer), Type: cfg.tunnelType(*peer), Key: cfg.Tunnel.Key, BFD: cfg.Tunnel.BFD,
			Remote: peer.Underlay, Local: view.Self.Underlay,
			Peer: ovsdb.Peer{ID: id, Name: peer.Name, Subnet: peer.Subnet},
		})
		if cfg.PerPeer {
			tunnel := &desired.Switch.Tunnels[len(desired.Switch.Tunnels)-1]
			tunnel.MAC = ovsdb.MAC(bridge.MAC(lease.Bip(peer.Subnet).Addr()))
			desired.Host.Peers = append(desired.Host.Peers, cfg.wayTo(view.Self, *peer))
		}
	}
	slices.SortFunc(desired.Switch.Tunnels, compareTunnels)
	slices.SortFunc(desired.Host.Peers, comparePeers)
	desired.NAT = cfg.natRules(view, desired)
	return desired, problems
}

func compareTunnels(a, b ovsdb.Tunnel) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Peer.ID, b.Peer.ID))
}

func comparePeers(a, b bridge.Peer) int {
	return cmp.Or(a.Bip.Addr().Compare(b.Bip.Addr()), a.Via.Compare(b.Via))
}

// wayTo is through the tunnel, unless both hosts can do without and are on one
// underlay network. Both see the same of each other, and so agree.
func (c Config) wayTo(self, peer Host) bridge.Peer {
	way := bridge.Peer{Bip: lease.Bip(peer.Subnet)}
	if tunnelled(self, peer) == "" {
		way.Via, way.Link = peer.Underlay, c.UnderlayLink
	}
	return way
}

// tunnelled is why packets to a peer need the tunnel; empty: they don't.
func tunnelled(self, peer Host) string {
	switch {
	case !self.Direct.IsValid():
		return "this host takes no direct packets"
	case !self.Direct.Contains(peer.Underlay):
		return "it is in another underlay subnet"
	case !peer.Direct.IsValid():
		return "it takes no direct packets"
	case self.Direct != peer.Direct:
		return fmt.Sprintf("it holds %s for its underlay subnet, and this host %s", peer.Direct, self.Direct)
	}
	if peer.Deaf {
		return "nothing comes back from it without"
	}
	return ""
}

// aliveFirst are all in the same order, but for those that are alive: they come
// first.
func aliveFirst(peers []Host) []*Host {
	all := make([]*Host, 0, len(peers))
	for _, alive := range []bool{true, false} {
		for i := range peers {
			if (peers[i].Liveness == Alive) == alive {
				all = append(all, &peers[i])
			}
		}
	}
	return all
}

// Keep tells which silent peers are to keep their tunnels.
type Keep map[lease.ID]bool

func wantsTunnel(peer *Host, keep Keep) bool {
	if !peer.Subnet.IsValid() || peer.Cut {
		return false
	}
	return peer.Liveness == Alive || peer.Liveness == Failed && keep[peer.ID]
}
