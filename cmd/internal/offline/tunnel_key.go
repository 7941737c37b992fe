package offline

import (
	"context"
	"slices"

	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

// assumeKey sets the tunnel key for a plan on a host that was never in a mesh.
// It returns the assumptions as sentences. A pinned key is not an assumption.
// peers reports whether the plan is for a mesh that does not exist yet.
func assumeKey(ctx context.Context, p *machine.Components, pins []settings.Pin, peers bool) []string {
	if slices.ContainsFunc(pins, func(pin settings.Pin) bool { return pin.Key == settings.TunnelKey.Name() }) {
		return nil
	}
	have, err := p.OVS.Observe(ctx)
	if err != nil {
		return nil // the plan reports that Open vSwitch could not be read
	}
	values, _ := mesh.Found(have)
	switch {
	case len(values) > 0:
		p.Mesh.Tunnel.Key = settings.TunnelKey.Of(values)
		return []string{"the mesh takes the key of the tunnels that are there: " + settings.Text(values, settings.TunnelKey.Name())}
	case peers:
		return []string{"the tunnels have no key: a mesh that is created over them has none"}
	}
	// Any key will do: no tunnel exists yet, and the MTU is the same for every
	// key.
	p.Mesh.Tunnel.Key = settings.MaxKey
	return []string{"the tunnels of the mesh have a random key, as those of every new mesh"}
}
