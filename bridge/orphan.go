package bridge

import (
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
)

// litter remembers the ports of Docker's bridge, to know them when the bridge
// is deleted: the kernel lets it go with ports in it, and they then belong to
// none. Docker puts a container's end into the bridge when the container
// starts, and not again.
type litter struct {
	mu     sync.Mutex
	bridge int   // index of the bridge; 0: none was seen yet
	ports  []int // indexes of its ports when last seen
	used   bool  // a container's end was seen in it
}

// orphans are the devices that were ports of a bridge which is gone, and are
// nobody's now. A port that someone takes out of a bridge that stays is none.
// The bridge is nil while there is none.
func (m *litter) orphans(bridge netlink.Link, links []netlink.Link) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lost []string
	if bridge == nil || m.bridge != 0 && m.bridge != bridge.Attrs().Index {
		for _, l := range links {
			if l.Attrs().MasterIndex == 0 && slices.Contains(m.ports, l.Attrs().Index) {
				lost = append(lost, l.Attrs().Name)
			}
		}
	}
	if bridge == nil || len(lost) > 0 {
		return lost
	}
	m.bridge, m.ports = bridge.Attrs().Index, nil
	for _, l := range links {
		if l.Attrs().MasterIndex == m.bridge {
			m.ports = append(m.ports, l.Attrs().Index)
			m.used = m.used || l.Type() == "veth"
		}
	}
	return nil
}
