package main

import (
	"log/slog"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/ovsdb"
)

// newParts creates the components. It starts nothing and changes nothing.
func newParts(cfg config.Config, at underlay, log *slog.Logger) parts {
	return parts{
		config: meshConfig(cfg, at),
		ovs:    ovsdb.New(ovsdb.Config{DB: cfg.OVS.DB, Bridge: cfg.OVS.Bridge, StateDir: cfg.StateDir, Log: log}),
		kernel: bridge.New(bridge.Config{Bridge: cfg.Docker.Bridge, Port: cfg.OVS.Bridge, Pool: cfg.Pool, StateDir: cfg.StateDir, Log: log}),
		docker: docker.New(docker.Config{
			Path: cfg.Docker.DaemonJSON, Socket: cfg.Docker.Socket, Restart: cfg.Docker.Restart, StateDir: cfg.StateDir,
			Direct: cfg.Direct == config.SameSubnet, Wrote: wrote(cfg.StateDir), Log: log,
		}),
		nat:  filter.New(log),
		masq: cfg.Masquerade.Open(),
	}
}
