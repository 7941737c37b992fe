package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// compareEvery is how often a host compares its table with that of another.
// Gossip loses messages, and memberlist's own exchange of state, which repairs
// that, comes once in minutes where there are a hundred hosts.
const compareEvery = time.Second

// keepEvery is how often what only a clock changes is made durable.
const keepEvery = 10 * time.Minute

// own is the loop of the goroutine that owns the state. Everything that has
// arrived is handled before the table is made durable, once, and answers leave
// only after that.
func (n *Node) own(ctx context.Context) error {
	met := n.met
	retry := time.NewTimer(n.patience())
	defer retry.Stop()
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	compared := time.Now()
	for {
		var out lease.Output
		var err error
		select {
		case <-n.delegate.inbox.signal:
			out, err = n.handle(n.delegate.inbox.take())
		case <-met:
			met, n.touched = nil, true
			if out, err = n.handle(n.delegate.inbox.take()); err != nil { // what the join has brought
				return err
			}
			out.Add(n.takePart())
			n.commit(out)
			close(n.ready)
			continue
		case <-retry.C:
			n.endForced()
			out = n.expire()
			out.Add(n.machine.Retry())
			out.Add(n.completeForced())
			n.challengeSilent()
			retry.Reset(n.patience())
			if time.Since(compared) >= compareEvery && !n.left {
				compared = time.Now()
				n.compareTables()
				n.dirty, n.noted = n.dirty || n.noted, false
			}
		case <-keep.C:
			n.dirty = true
		case <-n.measured:
			n.refresh()
			continue
		case <-n.repair:
			n.tellPairs()
			n.refresh()
			continue
		case r := <-n.requests:
			n.touched = true
			out = r.do()
			n.commit(out)
			close(r.done)
			continue
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
		n.commit(out)
	}
}

// patience is how long silent hosts are waited for before they are asked again;
// random, so that two hosts that keep denying each other fall out of step. A host
// that asks for nothing only counts how long others have been silent.
func (n *Node) patience() time.Duration {
	if n.kept.State == lease.Held && !n.kept.Next.IsValid() {
		return compareEvery
	}
	return 200*time.Millisecond + rand.N(300*time.Millisecond)
}

// takePart is called once, when this host has met the others. It may have said
// goodbye to them already.
func (n *Node) takePart() lease.Output {
	n.takes = true
	if n.left {
		return lease.Output{}
	}
	if n.mesh != "" && n.newcomer {
		n.machine.Follow() // the mesh of others, whose leases may not all be known here yet
	}
	if n.mesh == "" && n.cfg.Bootstrap {
		n.mesh, n.dirty = newID().String(), true
		n.cfg.Log.Info("founded a mesh", "mesh", n.mesh)
		n.foundSettings()
	}
	return n.machine.Start()
}

// commit makes the table durable and only then lets anything out: an answer is
// a promise. If the table can't be written, nothing is said, and nothing that
// has changed since is applied.
func (n *Node) commit(out lease.Output) {
	defer n.refreshIfNeeded(out)
	n.dirty = n.dirty || out.Changed
	n.touched = n.touched || n.dirty
	n.noteRefused(out.Refused)
	n.spread = append(n.spread, out.Spread...)
	if n.dirty {
		records := n.machine.Table().Records()
		if err := n.store.save(state{Host: n.self, Mesh: n.mesh, Records: records, Sightings: n.sightings, Settings: recordOrNil(n.settings)}); err != nil {
			problem := mesh.Problem{
				What: err.Error(), Do: "free space on the disk; until then this host takes no lease and grants none",
			}
			if n.problems.set("disk", problem, forever) {
				n.cfg.Log.Error("keep the lease table", "err", err)
			}
			return
		}
		n.problems.clear("disk")
		n.dirty = false
		n.keptSettings = n.settings
		n.publishState(records)
		if own := n.machine.Own(); own.State == lease.Held && own.Subnet != n.kept.Subnet || own.State != n.kept.State {
			n.cfg.Log.Info("lease "+own.State.String(), "subnet", own.Subnet, "age", own.Age)
		}
		n.kept = n.machine.Own()
		if n.kept.State == lease.Held {
			n.problems.clear("state")
		}
	}
	if n.left {
		return
	}
	n.tellSettings()
	n.tell()
	n.greet()
	for _, envelope := range out.Send {
		n.send(envelope)
	}
}

// idleRefresh is how often the view is made anew although nothing has come: only
// the time has passed, by which some problems end.
const idleRefresh = 5 * time.Second

// refreshIfNeeded leaves the view as it is where nothing has come that it is made
// of: a thousand hosts that only say that all is as it was cost nothing.
func (n *Node) refreshIfNeeded(out lease.Output) {
	idle := !n.touched && !out.Changed && len(out.Spread)+len(out.Send) == 0 && n.kept.State == lease.Held &&
		n.view.Load().Self.Tunnels == *n.tunnels.Load()
	if !idle || time.Since(n.refreshed) >= idleRefresh {
		n.refresh()
	}
}

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

// handlePacket takes a packet that has arrived. A trusted one is the table of a
// host that this one joins, before it takes part: the join itself is what tells
// the host that it may have been forgotten, and cannot wait.
func (n *Node) handlePacket(data []byte, trusted bool) lease.Output {
	p, err := decodePacket(data)
	if err != nil {
		n.cfg.Log.Warn("gossip that can't be read is dropped", "err", err)
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

// noteRefused reports records that lie beyond what one message may change.
func (n *Node) noteRefused(records []lease.Record) {
	for _, r := range records {
		problem := mesh.Problem{
			What: fmt.Sprintf("a record of %s (%s) was refused: its version or age lies too far beyond all that are known, or the table is full", r.Name, short(r.Host)),
			Do:   "find the host that sends it: it has the gossip key. If this host keeps an earlier record of that kind: `gremesh forget --purge " + short(r.Host) + "`",
		}
		if n.problems.badRecord(r.Host, problem) {
			n.cfg.Log.Warn("refused a record", "peer", r.Name, "host", r.Host, "version", r.Version, "age", r.Age)
		}
	}
}

// isMember reports whether gossip finds a host alive; see isAlive.
func (n *Node) isMember(id lease.ID) bool {
	_, member := n.members[id]
	return member
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

// adopt makes a host that is of no mesh yet one of the mesh that it has met.
func (n *Node) adopt(id string) {
	if n.mesh == "" && id != "" {
		n.mesh = id
		n.dirty = true
		n.cfg.Log.Info("joined a mesh", "mesh", id)
	}
}
