package gossip

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// forced is a message with the hosts that the sender's operator has removed by
// force.
type forced struct {
	Hosts []lease.ID `cbor:"1,keyasint,omitempty"`
}

// maxForced is the largest number of hosts in one such message.
const maxForced = 1024

// isForced reports whether this host's operator has removed a host by force.
func (n *Node) isForced(id lease.ID) bool { return n.sightings[id] != nil && n.sightings[id].Forced }

// forcedHosts returns the hosts that were removed by force here and that other
// hosts still count. They are sorted, and at most maxForced.
func (n *Node) forcedHosts() []lease.ID {
	var hosts []lease.ID
	for id, one := range n.sightings {
		if one.Forced {
			hosts = append(hosts, id)
		}
	}
	slices.SortFunc(hosts, lease.ID.Compare)
	return hosts[:min(len(hosts), maxForced)]
}

// force removes a host on this host only. It also tells the other hosts.
func (n *Node) force(id lease.ID) lease.Effects {
	n.sightings.get(id).Forced, n.dirty = true, true
	out := n.expire()
	n.publishForced()
	return out
}

// publishForced tells all members which hosts this host's operator has removed
// by force.
func (n *Node) publishForced() {
	p := packet{Mesh: n.mesh, Forced: &forced{Hosts: n.forcedHosts()}}
	for id, m := range n.members {
		n.sendPacket(id, m.underlay, p)
	}
}

func (n *Node) handleForced(from lease.ID, f forced) {
	if len(f.Hosts) == 0 {
		delete(n.forcedBy, from)
		return
	}
	n.forcedBy[from] = f.Hosts
}

// endForced ends the removal by force of hosts that are alive again, have
// released their subnet, or are forgotten by consent.
func (n *Node) endForced() {
	changed := false
	for _, id := range n.forcedHosts() {
		r, ok := n.machine.Table().Get(id)
		if !ok || n.isAlive(id) || r.State == lease.Released || r.State == lease.Forgotten {
			n.sightings[id].Forced, changed = false, true
		}
	}
	if changed {
		n.dirty = true
		n.publishForced()
	}
}

// completeEvery is the interval at which this host tries to complete a removal
// by force as one by consent. An attempt can succeed later, because new hosts
// may have taken leases.
const completeEvery = 5 * time.Second

// completeForced asks the other hosts to agree to the removals by force of this
// host. It starts at most one removal at a time.
func (n *Node) completeForced() lease.Effects {
	if time.Since(n.completed) < completeEvery || n.forgetting > 0 {
		return lease.Effects{}
	}
	n.completed = time.Now()
	if _, ok := n.machine.Removing(); ok {
		n.machine.Forgo()
	}
	for _, id := range n.forcedHosts() {
		if n.objection(id) == lease.NoObjection {
			return n.machine.Forget(id)
		}
	}
	return lease.Effects{}
}

// forcedProblems returns a problem for each host that another host removed by
// force, and that this host still counts.
func (n *Node) forcedProblems() []mesh.Problem {
	by := make(map[lease.ID][]string)
	for from, hosts := range n.forcedBy {
		r, _ := n.machine.Table().Get(from)
		for _, id := range hosts {
			by[id] = append(by[id], n.label(r))
		}
	}
	var problems []mesh.Problem
	for _, id := range slices.SortedFunc(maps.Keys(by), lease.ID.Compare) {
		r, ok := n.machine.Table().Get(id)
		if !ok || id == n.self || r.State == lease.Released || r.State == lease.Forgotten ||
			n.isAlive(id) || n.isForced(id) || n.machine.Expired(id) {
			continue
		}
		slices.Sort(by[id])
		problems = append(problems, mesh.Problem{
			What: fmt.Sprintf("the operator of %s removed %s (%s, %s) by force; this host still counts it", by[id][0], n.label(r), r.Underlay.Addr(), r.Subnet),
			Do: fmt.Sprintf("if it is gone for good, run `gremesh forget --force %s` on this host, too; "+
				"otherwise this host counts it until it has been silent for lease_ttl", n.word(r)),
		})
	}
	return problems
}
