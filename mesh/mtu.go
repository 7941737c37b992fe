package mesh

// leastPath is the packet size in bytes that every IPv4 destination accepts
// (RFC 791, section 3.1). A smaller path MTU is not credible and is ignored.
const leastPath = 576

// MTU returns the MTU inside the tunnels, in bytes. If a peer makes it smaller
// than the underlay device allows, by is the name of that peer; otherwise by is
// empty. The peer is one that this host reaches by a path with a smaller MTU,
// or one that reports such a path of its own. One MTU applies to all peers,
// because a container has only one.
func (c Config) MTU(view View, keep Keep) (mtu int, by string) {
	c = c.in(view)
	least := 0
	take := func(path int, name string) {
		if path >= leastPath && (least == 0 || path < least) {
			least, by = path, name
		}
	}
	for _, path := range []func(*Host) int{func(h *Host) int { return h.Path }, func(h *Host) int { return h.MTU }} {
		for i := range view.Peers {
			if peer := &view.Peers[i]; path(peer) != 0 && wantsTunnel(peer, keep) {
				take(path(peer), peer.Name)
			}
		}
	}
	if least == 0 {
		least = c.UnderlayMTU
	}
	if least >= c.UnderlayMTU {
		by = ""
	}
	return least - c.Tunnel.Overhead(view.Self.Underlay), by
}
