package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// checkPool holds the pool against this host's underlay address and routes.
// An error keeps the agent from starting; a warning does not. A host that holds
// a lease gets warnings only: its containers already use the pool, and without
// an agent it would drop out of the mesh at its next reboot.
func checkPool(cfg Config, at netip.Addr) (warnings []string, err error) {
	routes, err := bridge.Routes()
	if err != nil {
		return nil, fmt.Errorf("read this host's routes: %w", err)
	}
	subnet, err := gossip.Reserved(cfg.StateDir)
	holds := subnet.IsValid() || err != nil // a damaged state is gossip's to report
	return judgePool(cfg.Pool, at, bridge.Overlaps(cfg.Pool, routes, cfg.Docker.Bridge, cfg.OVS.Bridge), holds)
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
