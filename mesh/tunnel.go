package mesh

import (
	"slices"

	"github.com/gremesh/gremesh/mesh/settings"
)

// in returns the configuration with the mesh settings of the view. If the view
// has no settings, the configuration is returned unchanged.
func (c Config) in(view View) Config {
	if len(view.Settings) == 0 {
		return c
	}
	c.Tunnel.Type = settings.TunnelType.Of(view.Settings)
	c.Tunnel.Fallback = slices.DeleteFunc(settings.TunnelFallback.Of(view.Settings), func(t string) bool {
		return t == c.Tunnel.Type // happens if this host pins only one of the two settings
	})
	c.Tunnel.Key = settings.TunnelKey.Of(view.Settings)
	if !c.Tunnel.BFD {
		c.Tunnel.Fallback = nil // without BFD, nobody can tell whether a tunnel gets through
	}
	return c
}

// tunnelProblems returns a problem if this host's own tunnel configuration
// contradicts the settings of the mesh.
func (c Config) tunnelProblems(view View) []Problem {
	if c.Tunnel.BFD || len(settings.TunnelFallback.Of(view.Settings)) == 0 {
		return nil
	}
	return []Problem{{
		What: "tunnel.bfd is false on this host, so no pair can move to a type of tunnel.fallback",
		Do:   "remove tunnel.bfd from the configuration and restart the agent; or, for the whole mesh: gremesh config set tunnel.fallback none",
	}}
}
