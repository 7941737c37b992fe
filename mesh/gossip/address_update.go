package gossip

import (
	"net/netip"

	"github.com/gremesh/gremesh/mesh/lease"
)

// merge adds records of other hosts to the lease table. If a record has a new
// underlay address, merge also updates the member's address. memberlist itself
// is too slow: it keeps the old address until it regards the old node as dead,
// which takes seconds. The record is known earlier and is reliable, because
// only the host itself writes its record.
func (n *Node) merge(records []lease.Record) lease.Effects {
	addresses := make(map[lease.ID]netip.AddrPort)
	for _, r := range records {
		if known, ok := n.machine.Table().Get(r.Host); ok {
			addresses[r.Host] = known.Underlay
		}
	}
	out := n.machine.Merge(records)
	for id, old := range addresses {
		r, _ := n.machine.Table().Get(id)
		if m, ok := n.members[id]; ok && r.Underlay != old && r.Underlay != m.underlay {
			n.cfg.Log.Info("a host has moved", "peer", r.Name, "host", id, "was", m.underlay, "is", r.Underlay)
			m.underlay = r.Underlay
			n.members[id] = m
		}
	}
	return out
}
