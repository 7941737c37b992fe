package gossip

import (
	"maps"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// offer is a [mesh.Pair] that a host sends to the other end of the tunnel.
// The host with the lower ID decides the tunnel type.
type offer struct {
	From   lease.ID `cbor:"1,keyasint"`
	Type   string   `cbor:"2,keyasint,omitempty"`
	Silent string   `cbor:"3,keyasint,omitempty"`
	Retry  bool     `cbor:"4,keyasint,omitempty"`
	// Number grows with each offer that From sends. The upper bits are the
	// life of From's process (see meta). The lower 20 bits are a counter.
	Number uint64 `cbor:"5,keyasint,omitempty"`
}

// equalApartFromNumber reports whether two offers are equal apart from their
// numbers.
func (o offer) equalApartFromNumber(other offer) bool {
	o.Number = other.Number
	return o == other
}

// PublishOffers sends each peer the state of its tunnel with this host. It never
// blocks.
func (n *Node) PublishOffers(pairs map[lease.ID]mesh.Pair) {
	if old := n.offers.Load(); old != nil && maps.Equal(*old, pairs) {
		return
	}
	pairs = maps.Clone(pairs)
	n.offers.Store(&pairs)
	notify(n.offersChanged)
}

// sendOffers sends each peer the offer if it has changed since the last one
// sent. If an offer is lost, a later comparison of tables with that peer sends
// it again.
func (n *Node) sendOffers() {
	n.offerNumber++
	for id, m := range n.members {
		last, ok := n.sentOffers[id]
		if !ok { // nothing was sent yet, and an empty offer need not be sent
			last.From = n.self
		}
		if p := n.offerFor(id); p != nil && !last.equalApartFromNumber(*p) {
			n.sentOffers[id] = *p
			data := encode(n.sign(packet{Mesh: n.mesh, Offer: p}))
			n.outgoing.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
	}
}

// offerFor returns the offer to send to a host. It returns nil before the
// first call of PublishOffers.
func (n *Node) offerFor(id lease.ID) *offer {
	offers := n.offers.Load()
	if offers == nil {
		return nil
	}
	p := (*offers)[id]
	return &offer{From: n.self, Type: p.Type, Silent: p.Silent, Retry: p.Retry, Number: n.offerNumber}
}

// isOutdated reports whether an offer is older than the last one accepted from
// the same host. Such an offer was delayed or is replayed. A host may prove in
// an answer to a challenge that its life is now lower. Then the number of its
// earlier process is ignored.
func (n *Node) isOutdated(p offer) bool {
	seen := n.sightings.get(p.From)
	return p.Number < seen.LastOffer && seen.LastOffer>>20 <= seen.Life
}

// handleOffer stores the state that the other end reports for its tunnel. The
// tunnel type counts only if the other end has the lower ID.
func (n *Node) handleOffer(p offer) {
	if n.isOutdated(p) {
		n.cfg.Log.Debug("an outdated pairing is dropped", "host", p.From, "number", p.Number)
		return
	}
	if seen := n.sightings.get(p.From); seen.LastOffer != p.Number {
		seen.LastOffer, n.sightingsDirty = p.Number, true
	}
	prev := n.receivedOffers[p.From]
	cur := n.offerReceived(p)
	n.receivedOffers[p.From] = cur
	if prev.Type != cur.Type && prev.Type != "" {
		n.cfg.Log.Info("a tunnel's type was decided by its other end", "host", p.From, "type", p.Type)
	}
}

// offerReceived returns the state of the other end after an offer.
func (n *Node) offerReceived(p offer) mesh.Pair {
	return mesh.Pair{Type: n.typeReceived(p), Silent: p.Silent, Retry: p.Retry}
}

// typeReceived returns the tunnel type after an offer. The type in the offer
// counts only if its sender has the lower ID.
func (n *Node) typeReceived(p offer) string {
	if p.From.Compare(n.self) < 0 && p.Type != "" {
		return p.Type
	}
	return n.receivedOffers[p.From].Type
}

// validOffer reports whether the sender and the tunnel types of an offer are
// valid.
func validOffer(p offer) bool {
	known := func(t string) bool { return t == "" || mesh.ValidTunnelType(t) }
	return !p.From.IsZero() && known(p.Type) && known(p.Silent)
}
