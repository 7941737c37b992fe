package gossip

import (
	"maps"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// pairing is a [mesh.Pair] on its way from a host to the other end of the tunnel.
// Of the two, the host with the lower ID decides the type.
type pairing struct {
	From   lease.ID `cbor:"1,keyasint"`
	Type   string   `cbor:"2,keyasint,omitempty"`
	Silent string   `cbor:"3,keyasint,omitempty"`
	Retry  bool     `cbor:"4,keyasint,omitempty"`
	// Number is greater in each pairing than in those that From sent before: its
	// process's life, see meta, shifted by 20 bits, and a count.
	Number uint64 `cbor:"5,keyasint,omitempty"`
}

// says reports whether two pairings say the same.
func (p pairing) says(other pairing) bool {
	p.Number = other.Number
	return p == other
}

// Agree tells peers of their tunnels with this host. It never blocks.
func (n *Node) Agree(pairs map[lease.ID]mesh.Pair) {
	if old := n.agreed.Load(); old != nil && maps.Equal(*old, pairs) {
		return
	}
	pairs = maps.Clone(pairs)
	n.agreed.Store(&pairs)
	notify(n.repair)
}

// tellPairs sends what has changed since it was last told. What is lost is told
// again with the comparison of tables.
func (n *Node) tellPairs() {
	n.numbered++
	for id, m := range n.members {
		was, told := n.pairs[id]
		if !told { // which means that there is nothing to be told
			was.From = n.self
		}
		if p := n.pairingFor(id); p != nil && !was.says(*p) {
			n.pairs[id] = *p
			data := encode(n.sign(packet{Mesh: n.mesh, Pair: p}))
			n.outgoing.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
	}
}

// pairingFor is what another host is to know of its tunnel with this one; nil
// where nothing is known yet.
func (n *Node) pairingFor(id lease.ID) *pairing {
	agreed := n.agreed.Load()
	if agreed == nil {
		return nil
	}
	p := (*agreed)[id]
	return &pairing{From: n.self, Type: p.Type, Silent: p.Silent, Retry: p.Retry, Number: n.numbered}
}

// isOutdated reports whether a pairing is older than one that was taken from the
// same host: it was delayed, or is played back. If the host's life has gone
// back, which it has proved, the former number counts no more.
func (n *Node) isOutdated(p pairing) bool {
	seen := n.sightings.of(p.From)
	return p.Number < seen.Paired && seen.Paired>>20 <= seen.Life
}

// handlePairing takes what the other end of a tunnel says of it, and decides if it
// has the lower ID.
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

// pairTold is what a pairing makes what the other end has told.
func (n *Node) pairTold(p pairing) mesh.Pair {
	return mesh.Pair{Type: n.typeTold(p), Silent: p.Silent, Retry: p.Retry}
}

// typeTold is what a pairing makes the type that the other end has told.
func (n *Node) typeTold(p pairing) string {
	if p.From.Compare(n.self) < 0 && p.Type != "" {
		return p.Type
	}
	return n.told[p.From].Type
}

// validPairing refuses what no host sends.
func validPairing(p pairing) bool {
	known := func(t string) bool { return t == "" || mesh.ValidTunnelType(t) }
	return !p.From.IsZero() && known(p.Type) && known(p.Silent)
}
