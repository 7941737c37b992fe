package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// Liveness is what gossip says of a host.
type Liveness string

// A host is alive until it falls silent, and has left once it said goodbye.
const (
	Alive  Liveness = "alive"
	Failed Liveness = "failed"
	Left   Liveness = "left"
)

// Host is a machine that runs the agent, as gossip knows it here.
type Host struct {
	ID       lease.ID
	Name     string
	Underlay netip.Addr   // where tunnels to it end
	Subnet   netip.Prefix // zero while it holds no lease
	Direct   netip.Prefix // the underlay network within which it is reached without a tunnel; zero: never
	Path     int          // bytes, of the largest packet that gets there through the underlay; 0: not looked at yet
	MTU      int          // bytes, the least of all Paths of its own, as it says; 0: it knows of none
	Deaf     bool         // nothing that is sent to it without a tunnel is answered, as seen from here
	Tunnel   string       // its tunnel's type, where that was decided for this pair; else the mesh's
	Silent   string       // the type of a port that it has for this host, and by which nothing comes there; empty: there is none
	Retry    bool         // its operator wants the first type tried again with this host at once
	Cut      bool         // lost its subnet to an older lease: out of everyone's mesh
	Liveness Liveness
	Since    time.Time // since when it is so, as seen from here
	Tunnels  TunnelCount
}

// Pair is what a host tells a peer of the tunnel between the two.
type Pair struct {
	Type   string // that it is to have; empty where the peer decides
	Silent string // of the port that is there, if nothing has come by it for a while; else empty
	Retry  bool   // the first type is to be tried again at once
}

// TunnelCount is how many tunnels a host should have and how many carry
// traffic, by its own count.
type TunnelCount struct {
	Up   int `cbor:"1,keyasint"`
	Want int `cbor:"2,keyasint"`
}

// View is the mesh as gossip knows it here and now. It is a copy: whoever has
// it may keep it.
type View struct {
	Mesh     string // the mesh's ID; empty before this host founded or joined one
	Self     Host
	Waiting  string // what a host without a lease waits for
	Lost     bool   // another host has this one's subnet: it must renumber to take part again
	Peers    []Host // all others ever heard of, sorted by ID
	Problems []Problem
	// Settings are those of the mesh, with the values that this host pins. None
	// means that they are not known: those of Config count then.
	Settings        settings.Values
	SettingsVersion uint64 // of the record; 0: the mesh is older than the record, or it is not known
}

// SortPeers brings the peers into the order that View promises.
func (v *View) SortPeers() {
	slices.SortFunc(v.Peers, func(a, b Host) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(a.Name, b.Name))
	})
}
