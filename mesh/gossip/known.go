package gossip

import (
	"maps"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// limitedEvery is how often at most a Node hears of connections that a limit
// has ended.
const limitedEvery = 10 * time.Second

// limited is a connection that a limit of the network has ended.
type limited struct {
	from netip.Addr
	err  error
}

// networkConfig configures the Node's network.
func (n *Node) networkConfig() networkConfig {
	return networkConfig{
		at: n.cfg.Underlay, keyed: len(n.cfg.Keys) > 0, isKnown: n.isKnown, limited: n.noteLimited, beacon: n.hearBeacon,
	}
}

// isKnown reports whether an address is a member's, a lease table's host's or a
// seed's. Any goroutine may call it.
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

// anybody takes every address for a known one.
func anybody(netip.Addr) bool { return true }

// rememberSeeds adds to the addresses at which seeds have been.
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

// noteLimited tells the owner of a connection that a limit has ended, unless it
// has heard of one just before.
func (n *Node) noteLimited(from netip.Addr, err error) {
	now, last := time.Now().UnixNano(), n.limitsAt.Load()
	if now-last >= int64(limitedEvery) && n.limitsAt.CompareAndSwap(last, now) {
		n.delegate.inbox.put(event{limited: &limited{from, err}})
	}
}

// handleLimited reports connections that a limit has ended.
func (n *Node) handleLimited(l limited) {
	problem := mesh.Problem{
		What: "more or larger gossip connections arrive than the limits allow; some were closed",
		Do:   "the agent's log names an address (`gossip connection closed`); if it is no host of the mesh, close port 7946 to it",
	}
	if n.isKnown(l.from) {
		problem.What = "hosts of the mesh open more or larger gossip connections than the limits allow; some were closed"
		problem.Do = "the agent's log names an address (`gossip connection closed`); restart the agent there"
	}
	n.touched = n.problems.set("limits", problem, unlessAgain) || n.touched
	n.cfg.Log.Warn("gossip connection closed", "underlay", l.from, "err", l.err)
}
