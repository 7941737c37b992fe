package pathmtu

import (
	"net/netip"
	"time"
)

// peer is one whose path is measured.
type peer struct {
	memory
	due   time.Time
	began time.Time // of the last round
	busy  bool
	mute  bool // it has been said that it does not answer
}

// renew follows the peers that there are.
func (p *Prober) renew(peers map[netip.Addr]*peer) {
	now, changed := make(map[netip.Addr]bool), false
	for _, to := range p.cfg.Peers() {
		now[to] = true
		if peers[to] == nil {
			peers[to] = &peer{}
		}
	}
	done := true
	for to, peer := range peers {
		if !now[to] {
			delete(peers, to)
			changed = true
		} else if peer.due.IsZero() {
			done = false
		}
	}
	if done && len(peers) > 0 {
		select {
		case <-p.first:
		default:
			close(p.first)
		}
	}
	if changed {
		p.tell(peers)
	}
}

// untilDue is when the next peer is due. Those that are due already wait for the
// end of another's round.
func untilDue(peers map[netip.Addr]*peer) time.Duration {
	next := roundEvery
	for _, peer := range peers {
		if left := time.Until(peer.due); left > 0 {
			next = min(next, left)
		}
	}
	return next
}

// reroute measures anew what leaves in another way now.
func (p *Prober) reroute(peers map[netip.Addr]*peer) {
	for to, peer := range peers {
		if route, err := p.cfg.Route(to); err == nil && !peer.busy && peer.path.Link != "" && route != peer.path.Route {
			peer.due = time.Now()
		}
	}
}
