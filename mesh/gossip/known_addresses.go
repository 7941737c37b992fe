package gossip

import (
	"maps"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// limitedEvery is the shortest interval between two reports about connections
// that a limit has ended.
const limitedEvery = 10 * time.Second

// limited is a connection that a limit of the network has ended.
type limited struct {
	from netip.Addr
	err  error
}

// networkConfig returns the configuration of the Node's network.
func (n *Node) networkConfig() networkConfig {
	return networkConfig{
		at: n.cfg.Underlay, keyed: len(n.cfg.Keys) > 0, isKnown: n.isKnown, limited: n.noteLimited, beacon: n.hearBeacon,
	}
}

// isKnown reports whether an address belongs to a member, to a host in the
// lease table, or to a seed. Any goroutine may call it.
func (n *Node) isKnown(at netip.Addr) bool {
	if seeds := n.seedsAt.Load(); seeds != nil && (*seeds)[at] {
		return true
	}
	for _, p := range n.View().Peers {
		if p.Underlay == at {
			return true
		}
	}
	return false
}

// rememberSeeds adds addresses to the set of addresses that seeds have had.
func (n *Node) rememberSeeds(found []attempt) {
	all := make(map[netip.Addr]bool)
	if old := n.seedsAt.Load(); old != nil {
		maps.Copy(all, *old)
	}
	before := len(all)
	for _, seed := range found {
		all[seed.at.Addr()] = true
	}
	if len(all) != before {
		n.seedsAt.Store(&all)
	}
}

// noteLimited reports a connection that a limit has ended to the owner of the
// state. It reports at most one in limitedEvery. Any goroutine may call it.
func (n *Node) noteLimited(from netip.Addr, err error) {
	now, last := time.Now().UnixNano(), n.limitsAt.Load()
	if now-last >= int64(limitedEvery) && n.limitsAt.CompareAndSwap(last, now) {
		n.delegate.inbox.put(event{limited: &limited{from, err}})
	}
}

// handleLimited sets and logs the problem about connections that a limit has
// ended.
func (n *Node) handleLimited(l limited) {
	problem := mesh.Problem{
		What: "more or larger gossip connections arrive than the limits allow; some were closed",
		Do:   "the agent's log names an address (`gossip connection closed`); if it is no host of the mesh, close port 7946 to it",
	}
	if n.isKnown(l.from) {
		problem.What = "hosts of the mesh open more or larger gossip connections than the limits allow; some were closed"
		problem.Do = "the agent's log names an address (`gossip connection closed`); restart the agent there"
	}
	n.viewDirty = n.problems.set("limits", problem, problemTTL) || n.viewDirty
	n.cfg.Log.Warn("gossip connection closed", "underlay", l.from, "err", l.err)
}
