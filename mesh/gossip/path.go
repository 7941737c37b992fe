package gossip

import (
	"maps"
	"net/netip"

	"github.com/gremesh/gremesh/mesh"
)

// Measured tells what the paths to peers take, in bytes by underlay address.
// The least of them is told to the mesh: containers of two hosts need one MTU,
// and a path may take less in one direction. It never blocks.
func (n *Node) Measured(paths map[netip.Addr]int) {
	paths = maps.Clone(paths)
	if old := n.paths.Swap(&paths); old == nil || !maps.Equal(*old, paths) {
		notify(n.measured)
		notify(n.publish)
	}
}

func (n *Node) pathTo(addr netip.Addr) int {
	if paths := n.paths.Load(); paths != nil {
		return (*paths)[addr]
	}
	return 0
}

// remember keeps what is known of the MTU, and puts in what is not known now. It
// reports whether there was anything new to keep.
func (s *sighting) remember(host *mesh.Host) (news bool) {
	for _, v := range []struct{ is, was *int }{{&host.Path, &s.Path}, {&host.MTU, &s.MTU}} {
		if *v.is == 0 {
			*v.is = *v.was
		}
		news = news || *v.is != *v.was
		*v.was = *v.is
	}
	return news
}

// lowestPath is 0 where none is known.
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
