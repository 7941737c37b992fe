package mesh

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
)

// routeOverlap describes another program's route inside the pool.
type routeOverlap struct{ object, what, do string }

// routeOverlaps describes other programs' routes inside the pool. Such a route
// is more specific than the route of the mesh, or the kernel may prefer it.
// gremesh never deletes it.
func routeOverlaps(pool netip.Prefix, peers []Host, overlaps []bridge.Overlap) []routeOverlap {
	var found []routeOverlap
	for _, o := range overlaps {
		what := fmt.Sprintf("takes addresses of the pool %s out of the mesh", pool)
		for i := range peers {
			if p := &peers[i]; p.Subnet.IsValid() && p.Subnet.Overlaps(o.Route.Dst) {
				what = fmt.Sprintf("takes addresses of %s (%s) out of the mesh", p.Name, p.Subnet)
				break
			}
		}
		by := "the route"
		if o.Network != "" {
			by = "the Docker network " + o.Network
		}
		found = append(found, routeOverlap{"route " + o.Route.Dst.String(), fmt.Sprintf("%s %s %s", by, o, what), o.Remedy()})
	}
	return found
}

// overlaps returns the routes inside the pool, with the names of Docker
// networks.
func (l *Loop) overlaps(ctx context.Context, peers []Host, have bridge.State) []routeOverlap {
	pool := l.cfg.Space.Prefix
	return routeOverlaps(pool, peers, l.networks.name(ctx, bridge.Overlaps(pool, have.Intruders)))
}

// overlapProblems returns the routes inside the pool as problems, for status.
func overlapProblems(found []routeOverlap) []Problem {
	var problems []Problem
	for _, o := range found {
		problems = append(problems, Problem{What: o.what, Do: o.do})
	}
	return problems
}

// overlapDrift returns the routes inside the pool as drift, for audit.
func overlapDrift(found []routeOverlap) []drift.Drift {
	var all []drift.Drift
	for _, o := range found {
		all = append(all, drift.Drift{Object: o.object, Is: o.what, Should: "outside the pool (" + o.do + ")"})
	}
	return all
}
