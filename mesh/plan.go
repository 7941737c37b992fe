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
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Config is this host's configuration after validation.
type Config struct {
	Space        lease.Pool
	Switch       string // OVS bridge: br0
	Datapath     string // system, netdev, or empty for OVS's default
	Bridge       string // Docker's bridge: docker0
	Tunnel       TunnelConfig
	PerPeer      bool             // install a route to each peer, besides the aggregate route
	Direct       bool             // reach peers in this host's underlay network without a tunnel
	UnderlayLink string           // the device that has the underlay address
	Flood        bool             // one broadcast domain; if false, each host keeps its broadcasts to itself
	UnderlayMTU  int              // MTU in bytes of the NIC with the underlay address; used until a path is measured
	PeerGrace    time.Duration    // how long a silent peer keeps its tunnel after BFD went down
	NAT          filter.FileState // the operator's masquerading rules
	Services     []uint16         // TCP and UDP ports of this agent that no container may reach: gossip, metrics

	// A preview shows these two to the operator.
	DaemonJSON    string   // path of daemon.json
	DockerRestart []string // command that restarts Docker; empty: the operator restarts Docker
}

// TunnelConfig applies to all tunnels, and is the same on every host.
type TunnelConfig struct {
	Type     string   // gre, vxlan or geneve
	Fallback []string // types that a pair tries, in this order, if Type does not get through
	Key      uint32   // GRE key, VXLAN or Geneve network identifier; 0: none
	BFD      bool
	// Retry is the delay after which a pair that has left Type tries it again.
	// Hosts may have different values; the value of the host that decides for
	// the pair applies.
	Retry time.Duration
}

// ValidTunnelType reports whether t is a supported tunnel type.
func ValidTunnelType(t string) bool { return t == "gre" || t == "vxlan" || t == "geneve" }

// Types returns all types that a pair may use, the preferred one first.
func (t TunnelConfig) Types() []string { return append([]string{t.Type}, t.Fallback...) }

// Overhead returns how much smaller the MTU inside the tunnels is than the MTU
// of the underlay, in bytes. It uses the largest overhead of all Types, so that
// a pair can change its type without a new MTU. The headers, in bytes, are:
//
//   - outer IPv4: 20, or outer IPv6: 40 (RFC 8200)
//   - inner Ethernet: 14
//   - GRE: 4 (RFC 2784), and 4 more for a key (RFC 2890)
//   - VXLAN: UDP 8 and VXLAN 8 (RFC 7348)
//   - Geneve: UDP 8 and Geneve without options 8 (RFC 8926)
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

// TunnelName returns the name of the port to a peer: gre43 leads to
// 172.17.43.0/24. The number is the index of the subnet in the pool.
func (c Config) TunnelName(peer Host) string {
	return c.tunnelType(peer) + strconv.Itoa(c.Space.Index(peer.Subnet))
}

// tunnelType returns the type of the mesh, unless the pair uses one of the
// configured fallback types.
func (c Config) tunnelType(peer Host) string {
	if slices.Contains(c.Tunnel.Fallback, peer.Tunnel) {
		return peer.Tunnel
	}
	return c.Tunnel.Type
}

// Desired is the desired state of this host.
type Desired struct {
	Switch ovsdb.Spec
	Host   bridge.Spec
	Docker docker.Settings
	NAT    filter.Rules
	View   View // the mesh that this state is for; Plan leaves it empty
}

// Plan computes the desired state of this host. Without a lease it returns nil:
// then no state is desired, and the caller must leave everything on the host
// unchanged.
func Plan(cfg Config, view View, keep Keep) (*Desired, []Problem) {
	if !view.Self.Subnet.IsValid() {
		return nil, nil
	}
	cfg = cfg.in(view)
	bip := lease.Bip(view.Self.Subnet)
	mtu, _ := cfg.MTU(view, keep)
	desired := &Desired{
		Switch: ovsdb.Spec{Bridge: cfg.Switch, Datapath: cfg.Datapath, MTU: mtu, Mesh: view.Mesh},
		Host:   bridge.Spec{Bridge: cfg.Bridge, OVSPort: cfg.Switch, Bip: bip, MTU: mtu, Pool: cfg.Space.Prefix, NoFlood: !cfg.Flood},
		Docker: docker.Settings{Bip: bip, MTU: mtu, Direct: cfg.Direct, Accept: filter.AcceptMark},
	}
	if view.Self.Cut {
		// The containers of an excluded host keep running. They still must not
		// reach the tunnels and the gossip ports of hosts.
		desired.NAT = filter.Rules{Pool: cfg.Space.Prefix, Subnet: view.Self.Subnet, Guard: cfg.guard(view, nil)}
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
			if peer.Liveness == Failed { // another host now has its address, for example the same machine after a reinstall
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
		if !peer.ID.IsZero() { // an assumed peer has no ID
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

// wayTo returns the route to a peer. It leads through the tunnel, unless both
// hosts accept direct packets and are in one underlay network. Both hosts have
// the same data about each other, so they choose the same path.
func (c Config) wayTo(self, peer Host) bridge.Peer {
	way := bridge.Peer{Bip: lease.Bip(peer.Subnet)}
	if tunnelled(self, peer) == "" {
		way.Via, way.Link = peer.Underlay, c.UnderlayLink
	}
	return way
}

// tunnelled returns the reason why packets to a peer need the tunnel. It
// returns an empty string if they do not need it.
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

// aliveFirst returns the peers in the same order, but with all alive peers
// before the others.
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

// Keep holds the silent peers that keep their tunnels.
type Keep map[lease.ID]bool

func wantsTunnel(peer *Host, keep Keep) bool {
	if !peer.Subnet.IsValid() || peer.Cut {
		return false
	}
	return peer.Liveness == Alive || peer.Liveness == Failed && keep[peer.ID]
}
