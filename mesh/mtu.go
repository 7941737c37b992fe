package mesh

import (
	"fmt"

	"github.com/gremesh/gremesh/bridge/docker"
)

// leastPath is what every IPv4 path takes, in bytes (RFC 791, section 3.1);
// whoever says less is not believed.
const leastPath = 576

// MTU is what fits through the tunnels, in bytes, and by whom it is less than
// the underlay's device would allow: a peer that is reached by a path of less,
// or else one that says that a path of its own is; empty: nobody. One MTU fits
// all peers, as a container has only one.
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

// behind is the problem, if any, that dockerd still gives containers another MTU
// than docker0 has. Docker is not restarted for it, for nothing is lost:
// docker0 routes what containers send, and answers what is too large for it.
func behind(want docker.Settings, have docker.Actual) []Problem {
	switch {
	case have.Behind == 0 || have.Behind == want.MTU:
		return nil
	case have.Behind > want.MTU:
		return []Problem{{
			What: fmt.Sprintf("docker0's MTU has become %d, and dockerd still gives containers the %d that it was started with: "+
				"docker0 answers larger packets with 'fragmentation needed'", want.MTU, have.Behind),
			Do: fmt.Sprintf("restart Docker when it suits: containers that are started from then on have MTU %d", want.MTU),
		}}
	}
	return []Problem{{
		What: fmt.Sprintf("docker0's MTU has become %d, and dockerd still gives containers the %d that it was started with: no packets are lost, only speed",
			want.MTU, have.Behind),
		Do: fmt.Sprintf("restart Docker when it suits: containers that are started from then on have MTU %d", want.MTU),
	}}
}
