package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Overlap is a route of another program that shares addresses with the pool.
type Overlap struct {
	Route Route
	// Inside reports whether the pool contains the route's network. Such a route
	// takes addresses away from the mesh. Any other overlap is a less specific
	// route. The mesh's own routes have precedence over it (longest prefix match,
	// ip-route(8)), so it does no harm.
	Inside bool
	// Network is the Docker network whose bridge has the route. It is the short ID,
	// or the name that the caller found for it. Empty: no Docker network.
	Network string
}

// String returns the network and its device: "172.17.64.0/20 (device eth1)".
func (o Overlap) String() string {
	if o.Route.Link == "" {
		return fmt.Sprintf("%s (%s)", o.Route.Dst, o.Route.Kind)
	}
	return fmt.Sprintf("%s (device %s)", o.Route.Dst, o.Route.Link)
}

// Remedy returns the command that removes a route inside the pool.
func (o Overlap) Remedy() string {
	if o.Network != "" {
		return "docker network rm " + o.Network + " (stop its containers first), and create it again with a --subnet outside the pool"
	}
	return fmt.Sprintf("remove the route (ip route del %s), or choose another pool on all hosts", o.Route.where())
}

// dockerNetwork returns the short ID of the Docker network whose bridge has this
// name, or an empty string. Docker names such a bridge "br-" plus the first 12
// digits of the ID. It does not if the network was created with
// com.docker.network.bridge.name.
func dockerNetwork(link string) string {
	id, ok := strings.CutPrefix(link, "br-")
	if !ok || len(id) != 12 || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// Overlaps returns the routes that share addresses with the pool and do not belong
// to gremesh. It returns each pair of network and device once, sorted by network and
// device. Routes of the devices in own and routes with gremesh's protocol number
// belong to gremesh.
func Overlaps(pool netip.Prefix, routes []Route, own ...string) []Overlap {
	var all []Overlap
	for _, r := range routes {
		if !r.Dst.Overlaps(pool) || r.Protocol == RouteProtocol || slices.Contains(own, r.Link) {
			continue
		}
		all = append(all, Overlap{Route: r, Inside: r.Dst.Bits() >= pool.Bits(), Network: dockerNetwork(r.Link)})
	}
	order := func(a, b Overlap) int {
		return cmp.Or(a.Route.Dst.Addr().Compare(b.Route.Dst.Addr()), cmp.Compare(a.Route.Dst.Bits(), b.Route.Dst.Bits()),
			cmp.Compare(a.Route.Link, b.Route.Link))
	}
	slices.SortStableFunc(all, order)
	return slices.CompactFunc(all, func(a, b Overlap) bool { return order(a, b) == 0 })
}
