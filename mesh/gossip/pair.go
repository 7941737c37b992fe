package gossip

import (
	"maps"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// pairing is a [mesh.Pair] that a host sends to the other end of the tunnel.
// The host with the lower ID decides the tunnel type.
type pairing struct {
	From   lease.ID `cbor:"1,keyasint"`
	Type   string   `cbor:"2,keyasint,omitempty"`
	Silent string   `cbor:"3,keyasint,omitempty"`
	Retry  bool     `cbor:"4,keyasint,omitempty"`
	// Number grows with each pairing that From sends. The upper bits are the
	// life of From's process (see meta). The lower 20 bits are a counter.
	Number uint64 `cbor:"5,keyasint,omitempty"`
}

// says reports whether two pairings are equal apart from their numbers.
func (p pairing) says(other pairing) bool {
	p.Number = other.Number
	return p == other
}

// PublishOffers sends each peer the state of its tunnel with this host. It never
// blocks.
func (n *Node) PublishOffers(pairs map[lease.ID]mesh.Pair) {
	if old := n.agreed.Load(); old != nil && maps.Equal(*old, pairs) {
		return
	}
	pairs = maps.Clone(pairs)
	n.agreed.Store(&pairs)
	notify(n.repair)
}

// tellPairs sends each peer the pairing if it has changed since the last one
// sent. If a pairing is lost, a later comparison of tables with that peer sends
// it again.
func (n *Node) tellPairs() {
	n.numbered++
	for id, m := range n.members {
		was, told := n.pairs[id]
		if !told { // nothing was sent yet, and an empty pairing need not be sent
			was.From = n.self
		}
		if p := n.pairingFor(id); p != nil && !was.says(*p) {
			n.pairs[id] = *p
			data := encode(n.sign(packet{Mesh: n.mesh, Pair: p}))
			n.outgoing.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
	}
}

// pairingFor returns the pairing to send to a host. It returns nil before the
// first call of PublishOffers.
func (n *Node) pairingFor(id lease.ID) *pairing {
	agreed := n.agreed.Load()
	if agreed == nil {
		return nil
	}
	p := (*agreed)[id]
	return &pairing{From: n.self, Type: p.Type, Silent: p.Silent, Retry: p.Retry, Number: n.numbered}
}

// isOutdated reports whether a pairing is older than the last one accepted from
// the same host. Such a pairing was delayed or is replayed. A host may prove in
// an answer to a challenge that its life is now lower. Then the number of its
// earlier process is ignored.
func (n *Node) isOutdated(p pairing) bool {
	seen := n.sightings.of(p.From)
	return p.Number < seen.Paired && seen.Paired>>20 <= seen.Life
}

// handlePairing stores the state that the other end reports for its tunnel. The
// tunnel type counts only if the other end has the lower ID.
func (n *Node) handlePairing(p pairing) {
	if n.isOutdated(p) {
		n.cfg.Log.Debug("an outdated pairing is dropped", "host", p.From, "number", p.Number)
		return
	}
	if seen := n.sightings.of(p.From); seen.Paired != p.Number {
		seen.Paired, n.noted = p.Number, true
	}
	was := n.told[p.From]
	is := n.pairTold(p)
	n.told[p.From] = is
	if was.Type != is.Type && was.Type != "" {
		n.cfg.Log.Info("a tunnel's type was decided by its other end", "host", p.From, "type", p.Type)
	}
}

// pairTold returns the state of the other end after a pairing.
func (n *Node) pairTold(p pairing) mesh.Pair {
	return mesh.Pair{Type: n.typeTold(p), Silent: p.Silent, Retry: p.Retry}
}

// typeTold returns the tunnel type after a pairing. The type in the pairing
// counts only if its sender has the lower ID.
func (n *Node) typeTold(p pairing) string {
	if p.From.Compare(n.self) < 0 && p.Type != "" {
		return p.Type
	}
	return n.told[p.From].Type
}

// validPairing reports whether the sender and the tunnel types of a pairing are
// valid.
func validPairing(p pairing) bool {
	known := func(t string) bool { return t == "" || mesh.ValidTunnelType(t) }
	return !p.From.IsZero() && known(p.Type) && known(p.Silent)
}
