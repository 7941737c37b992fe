package mesh

// count counts the tunnels of this host by its peers' rows, and those of the mesh
// by what the others report. Hosts that are not alive, hold no lease or have lost
// their subnet do not count, nor do tunnels to them. A report may be older than
// this view of the mesh, so that it counts tunnels to a host that has left: no
// host is taken to have more than one tunnel to each other host.
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

// hasTunnels reports whether a peer should have tunnels to the others.
func (h *Host) hasTunnels() bool { return h.Liveness == Alive && h.Subnet.IsValid() && !h.Cut }
