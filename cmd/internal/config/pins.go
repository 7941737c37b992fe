package config

import (
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/settings"
)

// pins returns the mesh settings that the file, the environment or a flag fixes
// for this host. c must be valid.
func (s *sources) pins(c Config) []settings.Pin {
	var pins []settings.Pin
	for _, value := range []settings.Value{
		settings.Pool.Is(c.Pool),
		settings.Prefix.Is(c.Prefix),
		settings.TunnelFallback.Is(c.Tunnel.Fallback),
		settings.TunnelKey.Is(c.Tunnel.Key),
		settings.TunnelType.Is(c.Tunnel.Type),
	} {
		if where := s.source(value.Key); where != defaultSource {
			pins = append(pins, settings.Pin{Value: value, Where: whereText(where)})
		}
	}
	return pins
}

// whereText phrases a source for a sentence such as "pinned in
// /etc/gremesh/gremesh.yaml".
func whereText(source string) string {
	if name, ok := strings.CutPrefix(source, "environment "); ok {
		return "the environment variable " + name
	}
	return strings.TrimPrefix(source, "file ")
}

// isPinned reports whether this host fixes a mesh setting.
func (c Config) isPinned(key string) bool {
	return slices.ContainsFunc(c.Pins, func(p settings.Pin) bool { return p.Key == key })
}

// OwnsSpace reports whether the operator chose the pool or the prefix on this
// host.
func (c Config) OwnsSpace() bool {
	return c.isPinned(settings.Pool.Name()) || c.isPinned(settings.Prefix.Name())
}
