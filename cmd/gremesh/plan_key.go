package main

import (
	"context"
	"slices"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

// assumeKey takes the tunnel key that a host which was never in a mesh will have,
// and says so. A pinned key is no assumption. peers reports whether the tunnels
// are to be made by hand from the plan.
func (p *parts) assumeKey(ctx context.Context, pins []settings.Pin, peers bool) []string {
	if slices.ContainsFunc(pins, func(pin settings.Pin) bool { return pin.Key == settings.TunnelKey.Name() }) {
		return nil
	}
	have, err := p.ovs.Observe(ctx)
	if err != nil {
		return nil // the plan says that Open vSwitch could not be looked at
	}
	values, _ := mesh.Found(have)
	switch {
	case len(values) > 0:
		p.config.Tunnel.Key = settings.TunnelKey.Of(values)
		return []string{"the mesh takes the key of the tunnels that are there: " + settings.Text(values, settings.TunnelKey.Name())}
	case peers:
		return []string{"the tunnels have no key: a mesh that is created over them has none"}
	}
	p.config.Tunnel.Key = settings.MaxKey // any key: there is no tunnel yet, and the MTU is the same for all
	return []string{"the tunnels of the mesh have a random key, as those of every new mesh"}
}
