package gossip

import (
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// compareEvery is how often a host compares its table with that of another.
// Gossip loses messages, and memberlist's own exchange of state, which repairs
// that, comes once in minutes where there are a hundred hosts.
const compareEvery = time.Second

// compareTables asks one host, drawn at random, whether it knows what this one
// knows.
func (n *Node) compareTables() {
	for id, m := range n.members { // in random order
		n.sendPacket(id, m.underlay, packet{
			Mesh: n.mesh, Sum: &sum{From: n.self, Digest: n.machine.Table().Digest(), Settings: n.keptSettings.Digest()}, Pair: n.pairingFor(id),
		})
		return
	}
}

// answerSum hands another host all that is known here. One that is not alive
// here has not heard yet that it is taken for dead: it is joined again.
func (n *Node) answerSum(to lease.ID) {
	at, known := n.locate(to)
	switch {
	case !known:
	case n.isMember(to):
		n.sendPacket(to, at, *n.delegate.state.Load()) // what is durable
	default:
		select {
		case n.hails <- at:
		default: // one at a time; it calls again
		}
	}
}

// isMember reports whether gossip finds a host alive; see isAlive.
func (n *Node) isMember(id lease.ID) bool {
	_, member := n.members[id]
	return member
}
