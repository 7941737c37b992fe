package pathmtu

import "net/netip"

// Route is how this host's packets to a peer leave.
type Route struct {
	Source netip.Addr
	Link   string
	MTU    int // bytes, of the device
}

// Path is the way to a peer.
type Path struct {
	Route
	// MTU is the size of the largest packet that passes, bytes; the device's
	// where it can't be measured.
	MTU   int
	Known bool // it was measured
}

// memory is what is held for true of one path.
type memory struct {
	path   Path
	higher int // what a round has found above it, bytes; 0: nothing
}

// take learns what a round has found. It reports whether another round should
// follow soon, to confirm it.
func (m *memory) take(found Path) (confirm bool) {
	was := m.path
	switch {
	case was.Route != found.Route, !was.Known:
		m.path, m.higher = found, 0
	case !found.Known: // it fell silent
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
