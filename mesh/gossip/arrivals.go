package gossip

import (
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// handle applies the given events in their order. If this host has left, it
// ignores them. It returns a DuplicateIDError if an older process with this
// host's ID is running.
func (n *Node) handle(events []event) (lease.Effects, error) {
	var out lease.Effects
	for _, e := range events {
		n.viewDirty = n.viewDirty || e.packet == nil && e.foreign == nil && e.limited == nil
		switch {
		case n.left:
		case e.packet != nil:
			out.Add(n.handlePacket(e.packet, e.joining && !n.takesPart))
		case e.joined != nil:
			if why := differentMesh(n.mesh, e.joined.meta.Mesh); why != "" { // this host has created its own mesh since
				n.handleRefusal(refusal{id: e.joined.id, name: e.joined.meta.Name, underlay: e.joined.underlay, why: why})
				continue
			}
			_, ok := n.members[e.joined.id]
			n.members[e.joined.id] = *e.joined
			if !ok {
				n.newcomers = append(n.newcomers, *e.joined)
				n.challenge(e.joined.id, e.joined.underlay, nil)
			}
			n.problems.welcome(e.joined.underlay)
			n.adopt(e.joined.meta.Mesh)
		case !e.failed.IsZero():
			n.markFailed(e.failed)
		case e.stale != nil:
			n.challenge(e.stale.id, e.stale.underlay, nil)
		case e.refused != nil:
			n.handleRefusal(*e.refused)
		case e.duplicates != nil:
			n.handleDuplicates(*e.duplicates)
		case e.duplicate != nil:
			n.handleDuplicate(*e.duplicate)
		case e.olderDuplicate != nil:
			return out, &DuplicateIDError{ID: n.self, Also: *e.olderDuplicate}
		case e.foreign != nil:
			n.handleUnreadable(*e.foreign)
		case e.limited != nil:
			n.handleLimited(*e.limited)
		}
	}
	return out, nil
}

// handlePacket decodes and handles one packet. trusted says that the packet is
// the state of a host that this host joins, before this host takes part. Such a
// packet cannot wait for a challenge, because it may say that this host was
// forgotten.
func (n *Node) handlePacket(data []byte, trusted bool) lease.Effects {
	p, err := decodePacket(data)
	if err != nil {
		n.cfg.Log.Warn("drop gossip that cannot be decoded", "err", err)
		return lease.Effects{}
	}
	if p.Duplicate.IsValid() {
		n.handleDuplicateReport(p)
		return lease.Effects{}
	}
	switch {
	case p.Echo != nil:
		return n.handleEcho(p)
	case trusted && p.Sign != nil && p.Sign.From != n.self:
		n.challenge(p.Sign.From, p.Sign.At, nil)
	case !n.believes(p):
		return lease.Effects{}
	}
	return n.believe(p)
}

// believe handles a packet whose sender has proved that it is running.
func (n *Node) believe(p packet) lease.Effects {
	// Idle hosts send only a digest, or a digest with an unchanged offer. Such a
	// packet changes nothing in the view.
	same := p.Offer == nil || n.receivedOffers[p.Offer.From] == n.offerReceived(*p.Offer)
	n.viewDirty = n.viewDirty || p.Settings != nil || len(p.Records) > 0 || p.Lease != nil || !same || p.Mesh != n.mesh
	n.adopt(p.Mesh)
	if p.Mesh != n.mesh {
		return lease.Effects{} // the packet is of another mesh, or of no mesh
	}
	n.learnSettings(p.Settings)
	if p.TableDigest != nil && (p.TableDigest.Digest != n.machine.Table().Digest() || !n.isMember(p.TableDigest.From) || n.settingsDiffer(p.TableDigest.Settings)) {
		n.answerSum(p.TableDigest.From)
	}
	if p.Ask != nil {
		if at, ok := n.locate(p.Ask.From); ok {
			n.surveys.queue(*p.Ask, at)
		}
	}
	if p.Tell != nil {
		n.surveys.deliver(*p.Tell)
	}
	if p.InProgress != 0 {
		n.surveys.sign(p.InProgress)
	}
	if p.Offer != nil && p.Offer.From == p.Sign.From {
		n.handleOffer(*p.Offer)
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

// markFailed handles a host that gossip no longer finds alive.
func (n *Node) markFailed(id lease.ID) {
	delete(n.members, id)
	delete(n.presences, id)
	delete(n.answered, id)
	delete(n.sentOffers, id)
	n.receivedOffers[id] = mesh.Pair{Type: n.receivedOffers[id].Type} // this host no longer knows what the other end hears
	n.sightings.lost(id)
	n.dirty = true
}

// adopt makes this host a member of the mesh id, if it is in no mesh yet.
func (n *Node) adopt(id string) {
	if n.mesh == "" && id != "" {
		n.mesh = id
		n.dirty = true
		n.cfg.Log.Info("joined a mesh", "mesh", id)
	}
}
