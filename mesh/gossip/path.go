package gossip

import (
	"maps"
	"net/netip"

	"github.com/gremesh/gremesh/mesh"
)

// Measured sets the MTU of the paths to the peers, in bytes by underlay
// address. It publishes the lowest of them to the mesh, for two reasons. The
// containers of two hosts need the same MTU, and a path may have a lower MTU in
// one direction. It never blocks.
func (n *Node) Measured(paths map[netip.Addr]int) {
	paths = maps.Clone(paths)
	if old := n.paths.Swap(&paths); old == nil || !maps.Equal(*old, paths) {
		notify(n.measured)
		notify(n.publish)
	}
}

// pathTo returns the MTU of the path to an address in bytes, or 0 if it is not
// known.
func (n *Node) pathTo(addr netip.Addr) int {
	if paths := n.paths.Load(); paths != nil {
		return (*paths)[addr]
	}
	return 0
}

// remember stores the MTU values that are known now. It fills in the stored
// value where a value is not known now. It reports whether a stored value has
// changed.
func (s *peerHistory) remember(host *mesh.Host) (news bool) {
	for _, v := range []struct{ cur, stored *int }{{&host.Path, &s.Path}, {&host.MTU, &s.MTU}} {
		if *v.cur == 0 {
			*v.cur = *v.stored
		}
		news = news || *v.cur != *v.stored
		*v.stored = *v.cur
	}
	return news
}

// lowestPath returns the lowest known path MTU in bytes, or 0 if none is known.
func (n *Node) lowestPath() int {
	lowest := 0
	if paths := n.paths.Load(); paths != nil {
		for _, mtu := range *paths {
			if lowest == 0 || mtu < lowest {
				lowest = mtu
			}
		}
	}
	return lowest
}
