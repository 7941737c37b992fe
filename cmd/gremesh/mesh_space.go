package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/settings"
)

// isPinned reports whether this host fixes a mesh setting.
func (c Config) isPinned(key string) bool {
	return slices.ContainsFunc(c.Pins, func(p settings.Pin) bool { return p.Key == key })
}

// ownsSpace reports whether the operator chose the pool or the prefix on this host.
func (c Config) ownsSpace() bool {
	return c.isPinned(settings.Pool.Name()) || c.isPinned(settings.Prefix.Name())
}

// inMesh returns the configuration with the pool and the prefix of the mesh that
// this host is in, unless the operator chose them here. A state that cannot be
// read is reported by the part that needs it.
func (c Config) inMesh() Config {
	if c.ownsSpace() {
		return c
	}
	if space, err := gossip.SpaceOf(c.StateDir); err == nil && space.Pool.IsValid() {
		c.Pool, c.Prefix = space.Pool, space.Bits
	}
	return c
}

// runAgent runs this host until ctx ends or it leaves the mesh. A host that joins
// a mesh with another pool than the default starts again with that, once.
func runAgent(ctx context.Context, cfg Config, log *slog.Logger) error {
	cfg = cfg.inMesh()
	cfg.Adapt = !cfg.ownsSpace()
	err := runHost(ctx, cfg, log)
	var other *gossip.SpaceError
	if errors.As(err, &other) {
		log.Info("start again with the pool of the mesh", "pool", other.Space.Pool, "prefix", other.Space.Bits)
		cfg.Pool, cfg.Prefix, cfg.Adapt = other.Space.Pool, other.Space.Bits, false
		err = runHost(ctx, cfg, log)
	}
	return err
}
