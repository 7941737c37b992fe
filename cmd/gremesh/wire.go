package main

import (
	"log/slog"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// newComponents creates the components of this machine, as a
// machine.Constructor does.
func newComponents(cfg config.Config, at machine.Underlay, log *slog.Logger) machine.Components {
	return machine.Components{
		Mesh:   machine.MeshConfig(cfg, at),
		OVS:    ovsdb.New(ovsdb.Config{DB: cfg.OVS.DB, Bridge: cfg.OVS.Bridge, StateDir: cfg.StateDir, Log: log}),
		Kernel: bridge.New(bridge.Config{Bridge: cfg.Docker.Bridge, Port: cfg.OVS.Bridge, Pool: cfg.Pool, StateDir: cfg.StateDir, Log: log}),
		Docker: docker.New(docker.Config{
			Path: cfg.Docker.DaemonJSON, Socket: cfg.Docker.Socket, Restart: cfg.Docker.Restart, StateDir: cfg.StateDir,
			Direct: cfg.Direct == config.SameSubnet, Wrote: wrote(cfg.StateDir), Log: log,
		}),
		NAT:        filter.New(log),
		Masquerade: cfg.Masquerade.Open(),
	}
}

// wrote returns a function that searches the history in stateDir. The function
// reports whether this host's agent once set an object to a value. If the
// history cannot be read, it returns false.
func wrote(stateDir string) func(object, value string) bool {
	return func(object, value string) bool {
		all, _ := journal.Read(stateDir)
		return slices.ContainsFunc(all, func(c journal.Change) bool { return c.Object == object && c.Is == value })
	}
}
