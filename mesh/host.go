package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// Liveness is the state of a host as gossip reports it.
type Liveness string

// A host is Alive until it stops answering (Failed) or announces that it leaves
// (Left).
const (
	Alive  Liveness = "alive"
	Failed Liveness = "failed"
	Left   Liveness = "left"
)

// Host is a machine that runs the agent, as gossip on this host knows it.
type Host struct {
	ID       lease.ID
	Name     string
	Underlay netip.Addr   // where tunnels to this host end
	Subnet   netip.Prefix // zero if the host holds no lease
	Direct   netip.Prefix // the underlay network within which peers reach it without a tunnel; zero: none
	Path     int          // path MTU to it through the underlay, in bytes; 0: not measured yet
	MTU      int          // smallest path MTU from it to its peers, in bytes, as it reports; 0: it has measured none
	Deaf     bool         // this host gets no answer to packets that it sends there without a tunnel
	Tunnel   string       // tunnel type decided for this pair; empty: the type of the mesh
	Silent   string       // type of its port to this host, if it reports that the port receives nothing; else empty
	Retry    bool         // its operator wants the first tunnel type tried again with this host at once
	Cut      bool         // lost its subnet to an older lease; every host excludes it from the mesh
	Liveness Liveness
	Since    time.Time // start of the current Liveness, as seen by this host
	Tunnels  TunnelCount
}

// Pair holds what a host tells a peer about the tunnel between the two.
type Pair struct {
	Type   string // the tunnel's type, if this host decides for the pair; else empty
	Silent string // type of this host's port, if it has received nothing for a while; else empty
	Retry  bool   // this host wants the first type tried again at once
}

// TunnelCount counts the tunnels that a host should have and those that carry
// traffic, as the host itself reports.
type TunnelCount struct {
	Up   int `cbor:"1,keyasint"`
	Want int `cbor:"2,keyasint"`
}

// View is the mesh as gossip on this host knows it now. It is a copy, so the
// caller may keep it.
type View struct {
	Mesh     string // the ID of the mesh; empty before this host has created or joined one
	Self     Host
	Waiting  string // the reason why this host has no lease yet
	Lost     bool   // another host has this host's subnet; this host must renumber to rejoin the mesh
	Peers    []Host // all other hosts known so far, sorted by ID
	Problems []Problem
	// Settings are the settings of the mesh, with the values that this host
	// pins. If they are empty, they are not known, and the values of Config
	// apply.
	Settings        settings.Values
	SettingsVersion uint64 // version of the settings record; 0: the mesh has no record yet, or it is not known
}

// SortPeers sorts the peers as View promises: by ID, then by name.
func (v *View) SortPeers() {
	slices.SortFunc(v.Peers, func(a, b Host) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Name, b.Name))
	})
}
