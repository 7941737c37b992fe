package machine

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh/preflight"
)

// CheckPool compares the pool with this host's underlay address and routes, and
// returns the conflicts.
func CheckPool(ctx context.Context, cfg config.Config, at netip.Addr) []preflight.Finding {
	routes, err := bridge.Routes()
	if err != nil {
		return []preflight.Finding{{What: fmt.Sprintf("cannot read this host's routes (%s)", err), Do: "ip route"}}
	}
	overlaps := bridge.Overlaps(cfg.Pool, routes, cfg.Docker.Bridge, cfg.OVS.Bridge)
	if len(overlaps) > 0 {
		nameNetworks(ctx, cfg, overlaps)
	}
	return judgePool(cfg.Pool, at, overlaps)
}

// nameNetworks replaces the IDs of Docker networks with their names. If dockerd
// does not answer, the IDs stay. The docker command accepts IDs as well.
func nameNetworks(ctx context.Context, cfg config.Config, overlaps []bridge.Overlap) {
	all, err := docker.New(docker.Config{Socket: cfg.Docker.Socket}).Networks(ctx)
	if err != nil {
		return
	}
	for i := range overlaps {
		if name := docker.NetworkOf(all, overlaps[i].Route.Link); name != "" {
			overlaps[i].Network = name
		}
	}
}

// judgePool returns the findings for the given routes. It does not read the
// machine. A route that contains the whole pool is tolerable, because the
// routes of the mesh are more specific.
func judgePool(pool netip.Prefix, underlay netip.Addr, overlaps []bridge.Overlap) []preflight.Finding {
	var all []preflight.Finding
	if pool.Contains(underlay) {
		all = append(all, poolHasUnderlay(pool, underlay))
	}
	for _, o := range overlaps {
		if !o.Inside {
			all = append(all, preflight.Finding{
				What:      fmt.Sprintf("pool %s lies inside %s; the mesh's routes are more specific and win", pool, o),
				Tolerable: true,
			})
			continue
		}
		what := o.String()
		if o.Network != "" {
			what = fmt.Sprintf("the Docker network %s, %s", o.Network, o)
		}
		all = append(all, preflight.Finding{What: fmt.Sprintf("pool %s contains %s", pool, what), Do: o.Remedy()})
	}
	return all
}

func poolHasUnderlay(pool netip.Prefix, underlay netip.Addr) preflight.Finding {
	return preflight.Finding{
		What: fmt.Sprintf("pool %s contains this host's underlay address %s", pool, underlay),
		Do:   "choose another pool",
	}
}
