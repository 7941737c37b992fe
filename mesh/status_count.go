package mesh

// count counts the tunnels of this host from its peers' rows, and the tunnels
// of the mesh from the reports of the other hosts. It ignores a host that is
// not alive, holds no lease or has lost its subnet, and the tunnels to such a
// host.
//
// A report may be older than this view, and may count tunnels to a host that
// has left since. Therefore count assumes at most one tunnel from a host to
// each other host.
func (s *Status) count(view View) {
	counted := make(map[string]bool)
	for i := range view.Peers {
		if p := &view.Peers[i]; p.hasTunnels() {
			counted[p.ID.String()] = true
		}
	}
	own := 0
	for _, p := range s.Peers {
		if !p.Tunnel.Wanted {
			continue
		}
		s.Host.Tunnels.Wanted++
		if p.Tunnel.carries() && p.Path.carries() {
			s.Host.Tunnels.Up++
			if counted[p.ID] {
				own++
			}
		}
	}
	if !view.Self.Subnet.IsValid() || view.Self.Cut {
		return
	}
	others := len(counted)
	s.Mesh.Tunnels = (others + 1) * others
	s.Mesh.TunnelsUp = own
	for i := range view.Peers {
		if p := &view.Peers[i]; p.hasTunnels() {
			s.Mesh.TunnelsUp += min(p.Tunnels.Up, others)
		}
	}
}

// hasTunnels reports whether a peer should have tunnels to the other hosts.
func (h *Host) hasTunnels() bool { return h.Liveness == Alive && h.Subnet.IsValid() && !h.Cut }
