package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// refresh publishes a new view.
func (n *Node) refresh() {
	view := mesh.View{Mesh: n.mesh, Problems: n.problems.list()}
	own := n.machine.Own()
	view.Self = mesh.Host{
		ID: n.self, Name: n.cfg.Name, Underlay: n.cfg.Underlay.Addr(), Liveness: mesh.Alive, Tunnels: *n.tunnels.Load(),
	}
	if own.State == lease.Held {
		view.Self.Subnet = own.Subnet
	} else {
		view.Waiting = n.waiting()
	}

	lost := make(map[lease.ID]lease.Record) // to whom
	for _, c := range n.machine.Table().Conflicts() {
		lost[c.Loser.Host] = c.Winner
	}
	absent := []netip.AddrPort{}
	for r := range n.machine.Table().All() {
		if _, alive := n.members[r.Host]; !alive && r.Host != n.self && (r.State == lease.Held || r.State == lease.Claiming) {
			absent = append(absent, r.Underlay)
		}
		if r.Host != n.self {
			view.Peers = append(view.Peers, n.peer(r, lost))
		}
	}
	for id, m := range n.members {
		if _, known := n.machine.Table().Get(id); !known {
			view.Peers = append(view.Peers, mesh.Host{
				ID: id, Name: m.meta.Name, Underlay: m.underlay.Addr(), Liveness: mesh.Alive, Tunnels: m.meta.Tunnels,
			})
		}
	}
	view.SortPeers()
	if winner, cut := lost[n.self]; cut {
		view.Self.Cut = true
		view.Problems = append(view.Problems, mesh.Problem{
			What: fmt.Sprintf("%s is also held by %s (%s at %s), whose lease is older: this host is cut out of the mesh",
				own.Subnet, winner.Name, winner.Host, winner.Underlay.Addr()),
			Do: "take this host out with `gremesh leave --release` and start its agent again: it then takes another subnet",
		})
	}
	n.absent.Store(&absent)
	n.view.Store(&view)
	notify(n.changed)
}

// peer is what the table and memberlist together say of another host.
func (n *Node) peer(r lease.Record, lost map[lease.ID]lease.Record) mesh.Host {
	host := mesh.Host{ID: r.Host, Name: r.Name, Underlay: r.Underlay.Addr(), Liveness: mesh.Failed, Since: n.gone[r.Host]}
	if r.State == lease.Held {
		host.Subnet = r.Subnet
	}
	_, host.Cut = lost[r.Host]
	m, alive := n.members[r.Host]
	switch {
	case r.State == lease.Left, (r.State == lease.Released || r.State == lease.Forgotten) && !alive:
		host.Liveness = mesh.Left
	case alive:
		host.Liveness, host.Underlay, host.Tunnels = mesh.Alive, m.underlay.Addr(), m.meta.Tunnels
	}
	return host
}

// waiting says why this host holds no lease.
func (n *Node) waiting() string {
	if why := n.silence.Load(); why != nil {
		return "no host could be joined yet: " + strings.ReplaceAll(*why, "\n", "; ")
	}
	w := n.machine.Waiting()
	switch {
	case w.Exhausted && w.Only.IsValid():
		return fmt.Sprintf("this host may take %s only, which is %s", w.Only, n.occupants(w.Only))
	case w.Exhausted:
		return fmt.Sprintf("every subnet of %s (/%d) is taken", n.cfg.Settings.Space.Pool, n.cfg.Settings.Space.Bits)
	case w.Subnet.IsValid():
		var silent []string
		for _, id := range w.Silent {
			r, _ := n.machine.Table().Get(id)
			silent = append(silent, fmt.Sprintf("%s (%s)", r.Name, r.Underlay.Addr()))
		}
		slices.Sort(silent)
		return fmt.Sprintf("claims %s: granted by %d, no answer from %s", w.Subnet, w.Granted, strings.Join(silent, ", "))
	}
	return "no host that holds a lease is known yet"
}

// occupants names those who keep others from a subnet.
func (n *Node) occupants(subnet netip.Prefix) string {
	var names []string
	for r := range n.machine.Table().Occupants(subnet) {
		names = append(names, fmt.Sprintf("%s by %s (%s)", r.State, r.Name, r.Underlay.Addr()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
