package gossip

import (
	"net/netip"

	"github.com/gremesh/gremesh/mesh/lease"
)

// merge learns records of other hosts, and where those have moved to that
// memberlist still looks for at their old address. It lets no one take a name
// over whose holder it takes for alive, and needs seconds to take him for dead;
// the record, which none but the host itself writes, tells at once.
func (n *Node) merge(records []lease.Record) lease.Output {
	was := make(map[lease.ID]netip.AddrPort)
	for _, r := range records {
		if known, ok := n.machine.Table().Get(r.Host); ok {
			was[r.Host] = known.Underlay
		}
	}
	out := n.machine.Merge(records)
	for id, old := range was {
		r, _ := n.machine.Table().Get(id)
		if m, alive := n.members[id]; alive && r.Underlay != old && r.Underlay != m.underlay {
			n.cfg.Log.Info("a host has moved", "peer", r.Name, "host", id, "was", m.underlay, "is", r.Underlay)
			m.underlay = r.Underlay
			n.members[id] = m
		}
	}
	return out
}
