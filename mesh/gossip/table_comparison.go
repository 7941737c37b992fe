package gossip

import (
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// compareEvery is the interval at which a host compares its table with another
// host's. Gossip loses messages. memberlist's exchange of state repairs that,
// but with a hundred hosts it happens only once in several minutes.
const compareEvery = time.Second

// compareTables sends the digest of this host's table to one member that is
// drawn at random. A member with another digest answers.
func (n *Node) compareTables() {
	for id, m := range n.members { // the order of a map is random
		n.sendPacket(id, m.underlay, packet{
			Mesh: n.mesh, TableDigest: &tableDigest{From: n.self, Digest: n.machine.Table().Digest(), Settings: n.persistedSettings.Digest()}, Offer: n.offerFor(id),
		})
		return
	}
}

// answerSum sends this host's whole table to another host. If gossip does not
// find that host alive, this host joins it again instead. The other host does
// not know yet that it is considered dead.
func (n *Node) answerSum(to lease.ID) {
	at, ok := n.locate(to)
	switch {
	case !ok:
	case n.isMember(to):
		n.sendPacket(to, at, *n.delegate.state.Load()) // the state on disk
	default:
		select {
		case n.rejoinRequests <- at:
		default: // one at a time; the other host sends its digest again
		}
	}
}

// isMember reports whether gossip finds a host alive. See isAlive for a
// stricter check.
func (n *Node) isMember(id lease.ID) bool {
	_, ok := n.members[id]
	return ok
}
