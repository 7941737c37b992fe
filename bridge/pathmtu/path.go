package pathmtu

import "net/netip"

// Route describes how packets from this host to a peer leave this host.
type Route struct {
	Source netip.Addr // the source address of the packets
	Link   string     // the device by which they leave
	MTU    int        // bytes, of Link
}

// Path is the measured path to a peer.
type Path struct {
	Route
	// MTU is the size of the largest packet that passes, in bytes. It is the MTU
	// of the device if the path cannot be measured.
	MTU   int
	Known bool // MTU was measured
}

// memory holds the accepted result for one path across rounds.
type memory struct {
	path   Path
	higher int // bytes, a larger MTU that one round found and that is not yet confirmed; 0: none
}

// update updates the accepted result with the result of a round. It reports whether
// another round should follow soon to confirm a larger MTU.
func (m *memory) update(found Path) (confirm bool) {
	was := m.path
	switch {
	case was.Route != found.Route, !was.Known:
		m.path, m.higher = found, 0
	case !found.Known: // the peer stopped answering; keep the previous result
	case found.MTU <= was.MTU:
		m.path, m.higher = found, 0
	case m.higher == 0:
		m.higher = found.MTU
		return true
	default:
		m.path.MTU, m.higher = min(found.MTU, m.higher), 0
	}
	return false
}
