package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// agentOptions is what an agent needs beside its configuration.
type agentOptions struct {
	Version    string // of this binary
	Components componentsFunc
	Log        *slog.Logger
}

// runAgent runs this host until ctx ends or the host leaves the mesh. If the
// host joins a mesh with another pool than the default, runAgent restarts once
// with the pool of the mesh.
//
// It limits the processors and the memory of this process, unless the
// environment does.
func runAgent(ctx context.Context, cfg config.Config, o agentOptions) error {
	oneProcessor()
	limitMemory()
	cfg = inMesh(cfg)
	cfg.Adapt = !cfg.OwnsSpace()
	err := runHost(ctx, cfg, o)
	var other *gossip.SpaceError
	if errors.As(err, &other) {
		o.Log.Info("start again with the pool of the mesh", "pool", other.Space.Pool, "prefix", other.Space.Bits)
		cfg.Pool, cfg.Prefix, cfg.Adapt = other.Space.Pool, other.Space.Bits, false
		err = runHost(ctx, cfg, o)
	}
	return err
}
