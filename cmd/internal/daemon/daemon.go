package daemon

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// Options is what an agent needs beside its configuration.
type Options struct {
	Version    string // of this binary
	Components machine.Constructor
	Log        *slog.Logger
}

// Run runs this host until ctx ends or the host leaves the mesh. If the host
// joins a mesh with another pool than the default, Run restarts once with the
// pool of the mesh.
//
// Run limits the processors and the memory of this process, unless the
// environment sets GOMAXPROCS or GOMEMLIMIT.
func Run(ctx context.Context, cfg config.Config, o Options) error {
	limitGOMAXPROCS()
	limitMemory()
	cfg = machine.InMesh(cfg)
	cfg.Adapt = !cfg.OwnsSpace()
	err := runHost(ctx, cfg, o)
	var other *gossip.PoolError
	if errors.As(err, &other) {
		o.Log.Info("start again with the pool of the mesh", "pool", other.Pool.Prefix, "prefix", other.Pool.Bits)
		cfg.Pool, cfg.Prefix, cfg.Adapt = other.Pool.Prefix, other.Pool.Bits, false
		err = runHost(ctx, cfg, o)
	}
	return err
}
