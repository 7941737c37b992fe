package gossip

import (
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// commit writes the table to disk, and only then sends messages, because an
// answer is a promise. If the write fails, commit sends nothing, and this host
// applies no change until a later write succeeds.
func (n *Node) commit(out lease.Effects) {
	defer n.refreshIfNeeded(out)
	n.dirty = n.dirty || out.Changed
	n.viewDirty = n.viewDirty || n.dirty
	n.noteRefused(out.Refused)
	n.pendingBroadcasts = append(n.pendingBroadcasts, out.Broadcast...)
	if n.dirty {
		records := n.machine.Table().Records()
		if err := n.store.save(savedState{Host: n.self, Mesh: n.mesh, Records: records, Sightings: n.sightings, Settings: recordOrNil(n.settings), LeavePending: n.leavePending}); err != nil {
			problem := mesh.Problem{
				What: err.Error(), Do: "free space on the disk; until then this host takes no lease and grants none",
			}
			if n.problems.set("disk", problem, forever) {
				n.cfg.Log.Error("cannot write the lease table", "err", err)
			}
			return
		}
		n.problems.clear("disk")
		n.dirty = false
		n.persistedSettings = n.settings
		n.publishState(records)
		if own := n.machine.Own(); own.State == lease.Held && own.Subnet != n.persistedOwn.Subnet || own.State != n.persistedOwn.State {
			n.cfg.Log.Info("lease "+own.State.String(), "subnet", own.Subnet, "age", own.Sequence)
		}
		n.persistedOwn = n.machine.Own()
		if n.persistedOwn.State == lease.Held {
			n.leavePending = false // its peers know of it again
			n.problems.clear("state")
		}
	}
	if n.left {
		return
	}
	n.publishSettings()
	n.broadcastRecords()
	n.sendLeaseToNewPeers()
	for _, envelope := range out.Send {
		n.send(envelope)
	}
}

// idleRefresh is the interval between two updates of the view while nothing
// changes. Problems expire with time, so the view must be updated even then.
const idleRefresh = 5 * time.Second

// refreshIfNeeded updates the view if its inputs have changed or idleRefresh
// has passed. Otherwise it keeps the view, so that a thousand idle hosts cost
// nothing.
func (n *Node) refreshIfNeeded(out lease.Effects) {
	idle := !n.viewDirty && !out.Changed && len(out.Broadcast)+len(out.Send) == 0 && n.persistedOwn.State == lease.Held &&
		n.view.Load().Self.Tunnels == *n.tunnels.Load()
	if !idle || time.Since(n.refreshed) >= idleRefresh {
		n.refresh()
	}
}
