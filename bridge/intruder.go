package bridge

import (
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeKinds are the types of routes that stop packets (ip-route(8)).
var routeKinds = map[int]string{
	unix.RTN_UNICAST: "", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

// intruder reads a route of the main table that takes addresses of the pool
// away: it is inside the pool, and neither ours nor on one of our devices. A less
// specific route takes nothing.
func (t *tables) intruder(message netlink.Route) (Route, bool) {
	if !t.pool.IsValid() || message.Protocol == RouteProtocol {
		return Route{}, false
	}
	kind, known := routeKinds[message.Type]
	r, _ := unicast(message, t.links)
	if !known || r.Dst.Bits() < t.pool.Bits() || !r.Dst.Overlaps(t.pool) {
		return Route{}, false
	}
	if r.Kind = kind; kind != "" {
		r.Link = ""
	}
	return r, kind != "" || !slices.Contains(t.names[:], r.Link)
}

// where is what "ip route del" needs to find the route.
func (r Route) where() string {
	s := r.Dst.String()
	if r.Kind != "" {
		s = r.Kind + " " + s
	}
	if r.Link != "" {
		s += " dev " + r.Link
	}
	return s
}
