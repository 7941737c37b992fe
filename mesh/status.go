package mesh

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Status is a host's own account of itself and its mesh, as `gremesh status`
// prints it.
type Status struct {
	Host     HostStatus   `json:"host"`
	Mesh     TotalStatus  `json:"mesh"`
	Peers    []PeerStatus `json:"peers"`
	Problems []Problem    `json:"problems"`
	Pending  []string     `json:"pending,omitempty"` // under way; there is nothing to do about it
}

// HostStatus is this host.
type HostStatus struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`           // zero while it holds no lease
	Bip      netip.Prefix `json:"bip"`              // zero while it holds no lease
	MTU      int          `json:"mtu"`              // bytes, of docker0
	MTUBy    string       `json:"mtu_by,omitempty"` // the peer for whose path it is lower than the underlay's device allows
	Lease    string       `json:"lease"`            // waiting, claiming or held
	Waiting  string       `json:"waiting,omitempty"`
	Version  string       `json:"version"`         // of the agent
	Guard    string       `json:"guard,omitempty"` // by what packets out of the tunnels are judged
	OVS      string       `json:"ovs"`             // up, or down: ovsdb-server or ovs-vswitchd does not run or answer; empty before the first pass
	Since    time.Time    `json:"since"`           // the agent's start
	Changes  uint64       `json:"changes"`         // made since then
	// Tunnels counts this host's own, those that a failed peer keeps included.
	Tunnels TunnelsStatus `json:"tunnels"`
}

// TunnelsStatus counts tunnels. One is up if its BFD session and its path are.
type TunnelsStatus struct {
	Up     int `json:"up"`
	Wanted int `json:"wanted"`
}

// TotalStatus is the mesh as a whole, as far as gossip tells it here.
type TotalStatus struct {
	ID        string       `json:"id"`
	Pool      netip.Prefix `json:"pool"`
	Hosts     int          `json:"hosts"`      // alive, this one included
	Failed    int          `json:"failed"`     // silent without a goodbye
	Tunnels   int          `json:"tunnels"`    // directed: n(n-1) for n alive hosts that hold a lease
	TunnelsUp int          `json:"tunnels_up"` // of those, as each host reports; at most Tunnels

	Tunnel          TunnelKind `json:"tunnel"`
	SettingsVersion uint64     `json:"settings_version"` // of the mesh settings; 0: the mesh is older than their record
}

// TunnelKind is what all tunnels of the mesh have in common, as it counts on this
// host. It is zero while the settings of the mesh are not known.
type TunnelKind struct {
	Type     string   `json:"type"` // gre, vxlan or geneve
	Fallback []string `json:"fallback,omitempty"`
	Keyed    bool     `json:"keyed"` // they have a key
}

// PeerStatus is another host, the way to it and its tunnel.
type PeerStatus struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`             // zero while it holds no lease
	State    string       `json:"state"`              // alive, failed or left
	PathMTU  int          `json:"path_mtu,omitempty"` // bytes, of the largest packet that gets there through the underlay
	Via      string       `json:"via,omitempty"`      // tunnel or direct: which way packets take; empty: none
	Indirect string       `json:"indirect,omitempty"` // why not directly, where that is configured
	Tunnel   TunnelStatus `json:"tunnel"`
	Path     *PathStatus  `json:"path,omitempty"` // from docker0 to docker0 through the tunnel; nil: it is not probed
}

// Ways to a peer.
const (
	ViaTunnel = "tunnel"
	ViaDirect = "direct"
)

// TunnelStatus is the port to a peer as Open vSwitch has it.
type TunnelStatus struct {
	Port   string `json:"port"`           // empty: there is none
	Wanted bool   `json:"wanted"`         // there should be one
	Type   string `json:"type,omitempty"` // gre, vxlan or geneve
	BFD    string `json:"bfd,omitempty"`  // up, init, down, admin_down, or unknown while ovs-vswitchd is down; empty: not enabled or not yet known
	// Filtered are the types that do not get through to the peer.
	Filtered []string `json:"filtered,omitempty"`
	RxBytes  uint64   `json:"rx_bytes"`        // Interface statistics:rx_bytes
	TxBytes  uint64   `json:"tx_bytes"`        // Interface statistics:tx_bytes
	Error    string   `json:"error,omitempty"` // Interface error, or why there is no port
}

// Problem is something that an operator should know or do.
type Problem struct {
	What string `json:"what"`         // what is wrong, and where
	Do   string `json:"do,omitempty"` // what to do about it
	// Since is when the problem appeared, as the agent saw it; zero where that is
	// not known.
	Since time.Time `json:"since,omitzero"`
}

// Audit is the outcome of comparing the desired with the actual state.
type Audit struct {
	Drift    []drift.Drift `json:"drift"`    // empty: clean
	Problems []Problem     `json:"problems"` // what kept parts from being judged; not empty: can't tell
	Filtered []Problem     `json:"filtered"` // tunnel types that do not get through to peers, which is no drift of this host
	Paths    PathsAudit    `json:"paths"`
}

// Lease is one subnet that is not free, as this host knows it.
type Lease struct {
	Subnet   netip.Prefix `json:"subnet"`
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	State    string       `json:"state"`     // claiming, held, left, renumbering or expired
	Host     string       `json:"host"`      // alive, failed or left
	Since    time.Time    `json:"since"`     // since when it is this host's, as seen from here
	LastSeen time.Time    `json:"last_seen"` // when the host was last seen alive from here
	Lost     bool         `json:"lost"`      // another's older lease stands against it
}
