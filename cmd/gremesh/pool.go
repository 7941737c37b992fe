package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// checkPool holds the pool against this host's underlay address and routes.
// An error keeps the agent from starting; a warning does not. A host that holds
// a lease gets warnings only: its containers already use the pool, and without
// an agent it would drop out of the mesh at its next reboot.
func checkPool(ctx context.Context, cfg Config, at netip.Addr) (warnings []string, err error) {
	routes, err := bridge.Routes()
	if err != nil {
		return nil, fmt.Errorf("read this host's routes: %w", err)
	}
	subnet, err := gossip.Reserved(cfg.StateDir)
	holds := subnet.IsValid() || err != nil // a damaged state is gossip's to report
	overlaps := bridge.Overlaps(cfg.Pool, routes, cfg.Docker.Bridge, cfg.OVS.Bridge)
	if len(overlaps) > 0 {
		nameNetworks(ctx, cfg, overlaps)
	}
	return judgePool(cfg.Pool, at, overlaps, holds)
}

// nameNetworks replaces the IDs of Docker networks by their names. Without a
// dockerd that answers the IDs stay, which the docker command takes as well.
func nameNetworks(ctx context.Context, cfg Config, overlaps []bridge.Overlap) {
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

// judgePool is checkPool without looking at the machine. holds reports whether
// the host holds a lease.
func judgePool(pool netip.Prefix, underlay netip.Addr, overlaps []bridge.Overlap, holds bool) (warnings []string, err error) {
	var faults []error
	if pool.Contains(underlay) {
		faults = append(faults, poolHasUnderlay(pool, underlay))
	}
	for _, o := range overlaps {
		if !o.Inside {
			warnings = append(warnings, fmt.Sprintf("pool %s lies inside %s; the mesh's routes are more specific and win", pool, o))
			continue
		}
		what := o.String()
		if o.Network != "" {
			what = fmt.Sprintf("the Docker network %s, %s", o.Network, o)
		}
		faults = append(faults, fmt.Errorf("pool %s contains %s: %s", pool, what, o.Remedy()))
	}
	if !holds {
		return warnings, errors.Join(faults...)
	}
	for _, fault := range faults {
		warnings = append(warnings, fault.Error())
	}
	return warnings, nil
}

func poolHasUnderlay(pool netip.Prefix, underlay netip.Addr) error {
	return fmt.Errorf("pool %s contains this host's underlay address %s: choose another pool", pool, underlay)
}
