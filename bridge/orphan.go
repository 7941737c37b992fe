package bridge

import (
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
)

// litter tracks the ports of Docker's bridge, so that they can be attached again if
// the bridge is deleted. The kernel deletes a bridge even if it has ports. The ports
// then have no master. Docker attaches a container's veth only when the container
// starts, and never again.
type litter struct {
	mu     sync.Mutex
	bridge int   // index of the bridge; 0: no bridge was seen yet
	ports  []int // indexes of its ports when they were last observed
	used   bool  // a veth was seen in the bridge
}

// orphans returns the names of devices that were ports of a deleted bridge and have
// no master now. A port that another program detached from an existing bridge is
// not an orphan. bridge is nil while there is no bridge.
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
