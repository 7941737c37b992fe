package mesh

import "github.com/gremesh/gremesh/mesh/lease"

// Healthy reports whether this host has no fault: it holds a lease, Open
// vSwitch runs, the tunnel and the path to every alive peer are up, and there
// is no problem. Peers that gossip reports as failed or left do not count.
func (s Status) Healthy() bool {
	if len(s.Problems) > 0 || s.Host.Lease != lease.Held.String() || s.Host.OVS != ovsUp {
		return false
	}
	for _, p := range s.Peers {
		if p.State == string(Alive) && p.Subnet.IsValid() && (!p.Tunnel.carries() || !p.Path.carries()) {
			return false
		}
	}
	return true
}

// carries reports whether packets of all sizes pass. A nil path is not probed
// and counts as carrying packets.
func (p *PathStatus) carries() bool { return p == nil || p.Up && !p.SmallOnly }

// carries reports whether the port is set up and, with BFD, its session is up.
func (t TunnelStatus) carries() bool {
	return t.Port != "" && t.Error == "" && (t.BFD == "" || t.BFD == "up")
}
