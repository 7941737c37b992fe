package bridge

import (
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeKinds maps the types of routes that can take addresses away to their names
// in ip-route(8). Unicast is the empty name.
var routeKinds = map[int]string{
	unix.RTN_UNICAST: "", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

// intruder converts a route of the main table. It reports whether the route takes
// addresses of the pool away from the mesh. Such a route lies inside the pool, is
// not gremesh's and is not a unicast route on Docker's bridge or its port. A route
// less specific than the pool takes nothing away.
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

// where returns the arguments with which "ip route del" finds the route.
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
