package pathmtu

import (
	"net/netip"
	"time"
)

// peer is a peer whose path is measured.
type peer struct {
	memory
	due               time.Time // start of the next round; zero: no round has ended yet
	began             time.Time // start of the last round
	busy              bool      // a round is running
	unreachableLogged bool      // the warning that the peer does not answer has been logged
}

// renew adds new peers and removes those that Config.Peers no longer returns. It
// closes first once every peer has completed a round.
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

// untilDue returns the time until the next round of any peer is due, at most
// roundEvery. It ignores peers that are due already: they wait until the round of
// another peer ends.
func untilDue(peers map[netip.Addr]*peer) time.Duration {
	next := roundEvery
	for _, peer := range peers {
		if left := time.Until(peer.due); left > 0 {
			next = min(next, left)
		}
	}
	return next
}

// reroute makes the round of a peer due now if packets to it leave by another
// route than at its last measurement.
func (p *Prober) reroute(peers map[netip.Addr]*peer) {
	for to, peer := range peers {
		if route, err := p.cfg.Route(to); err == nil && !peer.busy && peer.path.Link != "" && route != peer.path.Route {
			peer.due = time.Now()
		}
	}
}
