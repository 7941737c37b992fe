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

// ownsSpace reports whether the operator chose the pool or the prefix on this
// host.
func (c Config) ownsSpace() bool {
	return c.isPinned(settings.Pool.Name()) || c.isPinned(settings.Prefix.Name())
}

// inMesh returns the configuration with the pool and the prefix of this host's
// mesh, unless the operator chose them on this host. It ignores a state that it
// cannot read, because the component that needs the state reports it.
func (c Config) inMesh() Config {
	if c.ownsSpace() {
		return c
	}
	if space, err := gossip.SpaceOf(c.StateDir); err == nil && space.Pool.IsValid() {
		c.Pool, c.Prefix = space.Pool, space.Bits
	}
	return c
}

// runAgent runs this host until ctx ends or the host leaves the mesh. If the
// host joins a mesh with another pool than the default, runAgent restarts once
// with the pool of the mesh.
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
