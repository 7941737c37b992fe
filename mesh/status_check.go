package mesh

import "github.com/gremesh/gremesh/mesh/lease"

// Healthy reports whether this host has nothing to complain about: it holds a
// lease, Open vSwitch runs, the tunnel to every alive peer is up, and there is no
// problem. Peers that gossip has given up do not count.
func (s Status) Healthy() bool {
	if len(s.Problems) > 0 || s.Host.Lease != lease.Held.String() || s.Host.OVS != ovsUp {
		return false
	}
	for _, p := range s.Peers {
		if p.State == string(Alive) && p.Subnet.IsValid() && !p.Tunnel.carries() {
			return false
		}
	}
	return true
}

// carries reports whether the port is set up and, with BFD, its session is up.
func (t TunnelStatus) carries() bool {
	return t.Port != "" && t.Error == "" && (t.BFD == "" || t.BFD == "up")
}
