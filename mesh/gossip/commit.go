package gossip

import (
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// commit writes the table to disk and only then sends anything: an answer is a
// promise. If the table cannot be written, nothing is sent, and no change since
// then is applied.
func (n *Node) commit(out lease.Output) {
	defer n.refreshIfNeeded(out)
	n.dirty = n.dirty || out.Changed
	n.touched = n.touched || n.dirty
	n.noteRefused(out.Refused)
	n.spread = append(n.spread, out.Spread...)
	if n.dirty {
		records := n.machine.Table().Records()
		if err := n.store.save(state{Host: n.self, Mesh: n.mesh, Records: records, Sightings: n.sightings, Settings: recordOrNil(n.settings), Untold: n.untold}); err != nil {
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
