package gossip

import (
	"maps"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// pairing tells the receiver which type its tunnel with the sender has, who has
// the lower ID of the two and so decides.
type pairing struct {
	From lease.ID `cbor:"1,keyasint"`
	Type string   `cbor:"2,keyasint"`
}

// Agree tells peers which type their tunnels with this host have: those that
// this host decides for. It never blocks.
func (n *Node) Agree(types map[lease.ID]string) {
	if old := n.agreed.Load(); old != nil && maps.Equal(*old, types) {
		return
	}
	types = maps.Clone(types)
	n.agreed.Store(&types)
	notify(n.repair)
}

// tellPairs sends what has been decided since it was last told.
func (n *Node) tellPairs() {
	for id, m := range n.members {
		if p := n.pairingFor(id); p != nil && n.pairs[id] != p.Type {
			n.pairs[id] = p.Type
			data := encode(packet{Mesh: n.mesh, Pair: p})
			n.outgoing.Go(func() { n.sendReliably(id, m.underlay, data) })
		}
	}
}

// pairingFor is what another host is to know of its tunnel with this one; nil
// where this host does not decide.
func (n *Node) pairingFor(id lease.ID) *pairing {
	agreed := n.agreed.Load()
	if agreed == nil {
		return nil
	}
	if t, mine := (*agreed)[id]; mine {
		return &pairing{From: n.self, Type: t}
	}
	return nil
}

// handlePairing takes what a host with a lower ID has decided.
func (n *Node) handlePairing(p pairing) {
	if p.From.Compare(n.self) < 0 && n.told[p.From] != p.Type {
		n.told[p.From] = p.Type
		n.cfg.Log.Info("a tunnel's type was decided by its other end", "host", p.From, "type", p.Type)
	}
}

// validPairing refuses what no host sends.
func validPairing(p pairing) bool {
	return !p.From.IsZero() && mesh.ValidTunnelType(p.Type)
}
