package mesh

import (
	"slices"

	"github.com/gremesh/gremesh/mesh/settings"
)

// in returns the configuration with the settings of the mesh that the view has.
// A view without settings leaves the configuration as it is.
func (c Config) in(view View) Config {
	if len(view.Settings) == 0 {
		return c
	}
	c.Tunnel.Type = settings.TunnelType.Of(view.Settings)
	c.Tunnel.Fallback = slices.DeleteFunc(settings.TunnelFallback.Of(view.Settings), func(t string) bool {
		return t == c.Tunnel.Type // only one of the two is pinned
	})
	c.Tunnel.Key = settings.TunnelKey.Of(view.Settings)
	if !c.Tunnel.BFD {
		c.Tunnel.Fallback = nil // nothing tells whether a tunnel gets through
	}
	return c
}

// tunnelProblems are those of a host whose own configuration of tunnels does not
// fit the settings of the mesh.
func (c Config) tunnelProblems(view View) []Problem {
	if c.Tunnel.BFD || len(settings.TunnelFallback.Of(view.Settings)) == 0 {
		return nil
	}
	return []Problem{{
		What: "tunnel.bfd is false on this host, so no pair can move to a type of tunnel.fallback",
		Do:   "remove tunnel.bfd from the configuration and restart the agent; or, for the whole mesh: gremesh config set tunnel.fallback none",
	}}
}
