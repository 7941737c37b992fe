package mesh

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Status is a host's report about itself and its mesh, as printed by `gremesh
// status`.
type Status struct {
	Host     HostStatus   `json:"host"`
	Mesh     TotalStatus  `json:"mesh"`
	Peers    []PeerStatus `json:"peers"`
	Problems []Problem    `json:"problems"`
	Pending  []string     `json:"pending,omitempty"` // in progress; the operator need not do anything
}

// HostStatus describes this host.
type HostStatus struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`           // zero while the host holds no lease
	Bip      netip.Prefix `json:"bip"`              // zero while the host holds no lease
	MTU      int          `json:"mtu"`              // of docker0, in bytes
	MTUBy    string       `json:"mtu_by,omitempty"` // the peer whose path makes the MTU lower than the underlay device allows
	Lease    string       `json:"lease"`            // waiting, claiming or held
	Waiting  string       `json:"waiting,omitempty"`
	Version  string       `json:"version"`         // of the agent
	Guard    string       `json:"guard,omitempty"` // how packets from the tunnels are checked
	OVS      string       `json:"ovs"`             // up; down: ovsdb-server or ovs-vswitchd does not run or answer; empty before the first pass
	Since    time.Time    `json:"since"`           // start of the agent
	Changes  uint64       `json:"changes"`         // number of changes made since then
	// Tunnels counts the tunnels of this host, including those that failed
	// peers keep.
	Tunnels TunnelsStatus `json:"tunnels"`
}

// TunnelsStatus counts tunnels. A tunnel is up if its BFD session and its path
// are up.
type TunnelsStatus struct {
	Up     int `json:"up"`
	Wanted int `json:"wanted"`
}

// TotalStatus describes the whole mesh, as far as gossip on this host knows it.
type TotalStatus struct {
	ID        string       `json:"id"`
	Pool      netip.Prefix `json:"pool"`
	Hosts     int          `json:"hosts"`      // alive hosts, including this one
	Failed    int          `json:"failed"`     // hosts that stopped answering without leaving
	Tunnels   int          `json:"tunnels"`    // directed tunnels: n(n-1) for n alive hosts that hold a lease
	TunnelsUp int          `json:"tunnels_up"` // how many of them are up, as each host reports; at most Tunnels

	Tunnel          TunnelKind `json:"tunnel"`
	SettingsVersion uint64     `json:"settings_version"` // of the mesh settings; 0: the mesh is older than its settings record
}

// TunnelKind holds the settings that all tunnels of the mesh share, with the
// values that apply on this host. It is zero while the settings of the mesh are
// not known.
type TunnelKind struct {
	Type     string   `json:"type"` // gre, vxlan or geneve
	Fallback []string `json:"fallback,omitempty"`
	Keyed    bool     `json:"keyed"` // the tunnels have a key
}

// PeerStatus describes another host, the route to it and its tunnel.
type PeerStatus struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`             // zero while the peer holds no lease
	State    string       `json:"state"`              // alive, failed or left
	PathMTU  int          `json:"path_mtu,omitempty"` // path MTU to the peer through the underlay, in bytes
	Via      string       `json:"via,omitempty"`      // route that packets take: tunnel or direct; empty: none
	Indirect string       `json:"indirect,omitempty"` // the reason why direct routing is configured but not used
	Tunnel   TunnelStatus `json:"tunnel"`
	Path     *PathStatus  `json:"path,omitempty"` // from docker0 to docker0 through the tunnel; nil: not probed
}

// Routes to a peer.
const (
	ViaTunnel = "tunnel"
	ViaDirect = "direct"
)

// TunnelStatus describes the port to a peer in Open vSwitch.
type TunnelStatus struct {
	Port   string `json:"port"`           // empty: no port
	Wanted bool   `json:"wanted"`         // the port should exist
	Type   string `json:"type,omitempty"` // gre, vxlan or geneve
	BFD    string `json:"bfd,omitempty"`  // up, init, down, admin_down, or unknown while ovs-vswitchd is down; empty: not enabled or not yet known
	// Filtered lists the tunnel types that do not get through to the peer.
	Filtered []string `json:"filtered,omitempty"`
	RxBytes  uint64   `json:"rx_bytes"`        // Interface statistics:rx_bytes
	TxBytes  uint64   `json:"tx_bytes"`        // Interface statistics:tx_bytes
	Error    string   `json:"error,omitempty"` // Interface error
}

// Problem describes something that an operator should know or do.
type Problem struct {
	What string `json:"what"`         // what is wrong, and where
	Do   string `json:"do,omitempty"` // what to do about it
	// Since is the time when the agent first saw the problem; zero if it is not
	// known.
	Since time.Time `json:"since,omitzero"`
}

// Audit is the result of comparing the desired state with the observed state.
type Audit struct {
	Drift    []drift.Drift `json:"drift"`    // empty: clean
	Problems []Problem     `json:"problems"` // why some components could not be checked; if not empty, the result is inconclusive
	Filtered []Problem     `json:"filtered"` // tunnel types that do not get through to peers; this is no drift of this host
	Paths    PathsAudit    `json:"paths"`
}

// Lease is one subnet that is in use, as this host knows it.
type Lease struct {
	Subnet   netip.Prefix `json:"subnet"`
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	State    string       `json:"state"`     // claiming, held, left, renumbering or expired
	Host     string       `json:"host"`      // alive, failed or left
	Since    time.Time    `json:"since"`     // start of this host's lease, as seen from here
	LastSeen time.Time    `json:"last_seen"` // last time that this host saw the holder alive
	Lost     bool         `json:"lost"`      // an older lease of another host overrides it
}
