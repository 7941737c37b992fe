package gossip

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// handleDuplicates handles a report of two hosts with the same ID. If the ID is
// not that of this host, it tells each of the two the other's address.
// Otherwise it pings the other host, and goes on only if that host answers.
func (n *Node) handleDuplicates(t duplicateID) {
	if t.id != n.self {
		n.sendPacket(t.id, t.here, packet{Mesh: n.mesh, Duplicate: t.also})
		n.sendPacket(t.id, t.also, packet{Mesh: n.mesh, Duplicate: t.here})
		return
	}
	if t.also == n.cfg.Underlay {
		return
	}
	n.outgoing.Go(func() {
		if n.answers(t.also) { // without an answer, t.also is the address that this host had before it moved
			n.delegate.inbox.put(event{duplicate: &t.also})
		}
	})
}

// handleDuplicate tells a duplicate that has answered how long this process has
// been running. It also reports the duplicate to the operator.
func (n *Node) handleDuplicate(also netip.AddrPort) {
	n.sendPacket(n.self, also, packet{Mesh: n.mesh, Duplicate: n.cfg.Underlay, Uptime: n.uptime()})
	problem := mesh.Problem{
		What: "another host has this host's ID, " + n.self.String() + ", at " + also.Addr().String() + ": its disk was cloned",
		Do:   "on the copy, run `gremesh reset-identity` and start the agent again",
	}
	if n.problems.set("twin", problem, problemTTL) {
		n.cfg.Log.Error("another host has this host's ID", "host", n.self, "underlay", also)
	}
}

// handleDuplicateReport handles a message about another host with this host's
// ID. The message comes from a third host, or from the duplicate itself. Of the
// two processes, the one that started later stops.
func (n *Node) handleDuplicateReport(p packet) {
	if p.Duplicate == n.cfg.Underlay {
		return
	}
	switch {
	case p.Uptime == 0:
		n.handleDuplicates(duplicateID{id: n.self, here: n.cfg.Underlay, also: p.Duplicate})
	case n.older(p.Duplicate, p.Uptime):
		n.handleDuplicate(p.Duplicate) // the duplicate itself has sent this message, so it is alive
	default:
		n.outgoing.Go(func() {
			if n.answers(p.Duplicate) { // without an answer, the duplicate has ended or never existed, and this process continues
				n.delegate.inbox.put(event{olderDuplicate: &p.Duplicate})
			}
		})
	}
}

const (
	closeCall    = time.Second      // longer than a message takes to arrive
	uptimeMargin = 10 * time.Second // an uptime difference that the other host cannot regard as a close call
)

// older reports whether this process continues because it has been running
// longer than its duplicate. The comparison is not exact, because the message
// took some time.
//
// If the difference is small, the host with the lower address decides for both.
// If that host continues, it adds uptimeMargin to its uptime. The other host
// then receives a clearly higher uptime and stops. If that host stops instead,
// the other host has not stopped, because in a close call it waits for the
// decision.
func (n *Node) older(duplicate netip.AddrPort, uptime time.Duration) bool {
	difference := n.uptime() - uptime
	switch judges := n.cfg.Underlay.Compare(duplicate) < 0; {
	case !judges:
		return difference > -closeCall // in a close call, continue until the other host has decided
	case difference < 0:
		return false
	case difference < uptimeMargin:
		n.uptimeBonus += uptimeMargin
	}
	return true
}

// uptime returns how long this process has been running, plus the time added by
// older.
func (n *Node) uptime() time.Duration { return time.Since(n.started) + n.uptimeBonus }
