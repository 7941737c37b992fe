package gossip

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// handleTwins reports two hosts with one ID. A third host tells both of each
// other; each of the two tells the other for how long it has been running.
func (n *Node) handleTwins(t twins) {
	if t.id != n.self {
		n.sendPacket(t.id, t.here, packet{Mesh: n.mesh, Twin: t.also})
		n.sendPacket(t.id, t.also, packet{Mesh: n.mesh, Twin: t.here})
		return
	}
	if t.also == n.cfg.Underlay {
		return
	}
	n.outgoing.Go(func() {
		if n.answers(t.also) { // else it is where this host was before it moved
			n.delegate.inbox.put(event{twin: &t.also})
		}
	})
}

// handleLivingTwin is called when the other one has answered.
func (n *Node) handleLivingTwin(also netip.AddrPort) {
	n.sendPacket(n.self, also, packet{Mesh: n.mesh, Twin: n.cfg.Underlay, Uptime: n.uptime()})
	problem := mesh.Problem{
		What: "another host has this host's ID, " + n.self.String() + ", at " + also.Addr().String() + ": its disk was cloned",
		Do:   "on the copy, run `gremesh reset-identity` and start the agent again",
	}
	if n.problems.set("twin", problem, unlessAgain) {
		n.cfg.Log.Error("another host has this host's ID", "host", n.self, "underlay", also)
	}
}

// handleTwin hears of another host with this host's ID, from a third host or
// from that host itself. Of the two processes the younger stops taking part.
func (n *Node) handleTwin(p packet) {
	if p.Twin == n.cfg.Underlay {
		return
	}
	switch {
	case p.Uptime == 0:
		n.handleTwins(twins{id: n.self, here: n.cfg.Underlay, also: p.Twin})
	case n.older(p.Twin, p.Uptime):
		n.handleLivingTwin(p.Twin) // it has said so itself
	default:
		n.outgoing.Go(func() {
			if n.answers(p.Twin) { // else it has ended, or there was none, and this one goes on
				n.delegate.inbox.put(event{elder: &p.Twin})
			}
		})
	}
}

const (
	closeCall = time.Second      // more than a message takes
	clearCut  = 10 * time.Second // is not taken for a close call
)

// older reports whether this process goes on, for it has been running for longer
// than its twin, as far as that can be told from a message that took a while.
// Where there is little between them, the one with the lower address judges for
// both: if it stays, it says from then on that it has been running for much
// longer, and if it does not, the other has not stopped.
func (n *Node) older(twin netip.AddrPort, uptime time.Duration) bool {
	difference := n.uptime() - uptime
	switch judges := n.cfg.Underlay.Compare(twin) < 0; {
	case !judges:
		return difference > -closeCall // in a close call, until the other one has judged
	case difference < 0:
		return false
	case difference < clearCut:
		n.seniority += clearCut
	}
	return true
}

// uptime is for how long this process has been running, and what it has been
// given over a twin.
func (n *Node) uptime() time.Duration { return time.Since(n.started) + n.seniority }
