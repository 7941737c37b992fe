package gossip

import (
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// handle lets the machine see what has arrived.
func (n *Node) handle(events []event) (lease.Output, error) {
	var out lease.Output
	for _, e := range events {
		n.touched = n.touched || e.packet == nil && e.foreign == nil && e.limited == nil
		switch {
		case n.left:
		case e.packet != nil:
			out.Add(n.handlePacket(e.packet, e.joining && !n.takes))
		case e.joined != nil:
			if why := differentMesh(n.mesh, e.joined.meta.Mesh); why != "" { // this host has founded its own since
				n.handleRefusal(refusal{id: e.joined.id, name: e.joined.meta.Name, underlay: e.joined.underlay, why: why})
				continue
			}
			_, known := n.members[e.joined.id]
			n.members[e.joined.id] = *e.joined
			if !known {
				n.newcomers = append(n.newcomers, *e.joined)
				n.challenge(e.joined.id, e.joined.underlay, nil)
			}
			n.problems.welcome(e.joined.underlay)
			n.adopt(e.joined.meta.Mesh)
		case !e.failed.IsZero():
			n.lose(e.failed)
		case e.stale != nil:
			n.challenge(e.stale.id, e.stale.underlay, nil)
		case e.refused != nil:
			n.handleRefusal(*e.refused)
		case e.twins != nil:
			n.handleTwins(*e.twins)
		case e.twin != nil:
			n.handleLivingTwin(*e.twin)
		case e.elder != nil:
			return out, &TwinError{ID: n.self, Also: *e.elder}
		case e.foreign != nil:
			n.handleUnreadable(*e.foreign)
		case e.limited != nil:
			n.handleLimited(*e.limited)
		}
	}
	return out, nil
}

// handlePacket takes a packet that has arrived. A trusted one is the table of a
// host that this one joins, before it takes part: the join itself is what tells
// the host that it may have been forgotten, and cannot wait.
func (n *Node) handlePacket(data []byte, trusted bool) lease.Output {
	p, err := decodePacket(data)
	if err != nil {
		n.cfg.Log.Warn("drop gossip that cannot be decoded", "err", err)
		return lease.Output{}
	}
	if p.Twin.IsValid() {
		n.handleTwin(p)
		return lease.Output{}
	}
	switch {
	case p.Echo != nil:
		return n.handleEcho(p)
	case trusted && p.Sign != nil && p.Sign.From != n.self:
		n.challenge(p.Sign.From, p.Sign.At, nil)
	case !n.believes(p):
		return lease.Output{}
	}
	return n.believe(p)
}

// believe takes a packet of a host that is known to be there.
func (n *Node) believe(p packet) lease.Output {
	// A sum alone, or one with the word that nothing has changed about a tunnel,
	// is all that hosts at rest send.
	same := p.Pair == nil || n.told[p.Pair.From] == n.pairTold(*p.Pair)
	n.touched = n.touched || p.Settings != nil || len(p.Records) > 0 || p.Lease != nil || !same || p.Mesh != n.mesh
	n.adopt(p.Mesh)
	if p.Mesh != n.mesh {
		return lease.Output{} // of a mesh that is not ours, or of none
	}
	n.learnSettings(p.Settings)
	if p.Sum != nil && (p.Sum.Digest != n.machine.Table().Digest() || !n.isMember(p.Sum.From) || n.settingsDiffer(p.Sum.Settings)) {
		n.answerSum(p.Sum.From)
	}
	if p.Ask != nil {
		if at, known := n.locate(p.Ask.From); known {
			n.surveys.take(*p.Ask, at)
		}
	}
	if p.Tell != nil {
		n.surveys.deliver(*p.Tell)
	}
	if p.AtIt != 0 {
		n.surveys.sign(p.AtIt)
	}
	if p.Pair != nil && p.Pair.From == p.Sign.From {
		n.handlePairing(*p.Pair)
	}
	if p.Forced != nil {
		n.handleForced(p.Sign.From, *p.Forced)
	}
	out := n.merge(p.Records)
	if p.Lease != nil {
		out.Add(n.machine.Receive(*p.Lease))
	}
	return out
}

// lose takes a host for no longer alive.
func (n *Node) lose(id lease.ID) {
	delete(n.members, id)
	delete(n.presences, id)
	delete(n.answered, id)
	delete(n.pairs, id)
	n.told[id] = mesh.Pair{Type: n.told[id].Type} // what it hears is not known any more
	n.sightings.lost(id)
	n.dirty = true
}

// adopt makes a host that is of no mesh yet one of the mesh that it has met.
func (n *Node) adopt(id string) {
	if n.mesh == "" && id != "" {
		n.mesh = id
		n.dirty = true
		n.cfg.Log.Info("joined a mesh", "mesh", id)
	}
}
