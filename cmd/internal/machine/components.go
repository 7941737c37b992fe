package machine

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
	"github.com/gremesh/gremesh/ovsdb"
)

// Components holds the components that read and change this machine.
type Components struct {
	Mesh       mesh.Config // the configuration of all components together
	OVS        *ovsdb.Client
	Kernel     *bridge.Kernel
	Docker     *docker.Daemon
	NAT        *filter.Host
	Masquerade *filter.File // which destinations see the containers' own addresses
}

// Constructor is a function that creates the components of this machine. It
// starts nothing and changes nothing.
type Constructor func(cfg config.Config, at Underlay, log *slog.Logger) Components

// MeshConfig returns the part of the configuration that package mesh needs.
func MeshConfig(cfg config.Config, at Underlay) mesh.Config {
	return mesh.Config{
		Space: cfg.Space(), Switch: cfg.OVS.Bridge, Datapath: cfg.OVS.Datapath, Bridge: cfg.Docker.Bridge,
		Tunnel: tunnelConfig(cfg.Tunnel), UnderlayMTU: at.MTU, PeerGrace: cfg.PeerGrace,
		DaemonJSON: cfg.Docker.DaemonJSON, DockerRestart: cfg.Docker.Restart,
		UnderlayLink: at.Link, PerPeer: cfg.Route == config.PerPeer, Flood: cfg.Flood == "on" || cfg.Route == config.Aggregate,
		Direct: cfg.Direct == config.SameSubnet, Services: cfg.Services(),
	}
}

func tunnelConfig(t config.TunnelConfig) mesh.TunnelConfig {
	return mesh.TunnelConfig{Type: t.Type, Fallback: t.Fallback, Key: t.Key, BFD: t.BFD, Retry: t.Retry}
}

// GossipConfig returns the gossip configuration of this host.
func (c Components) GossipConfig(ctx context.Context, cfg config.Config, at Underlay, log *slog.Logger) gossip.Config {
	var direct netip.Prefix
	open := false
	if cfg.Direct == config.SameSubnet {
		// If the address has vanished, the error is ignored: the agent notices
		// it later, and a new agent replaces this one.
		direct, _ = bridge.Subnet(at.Addr)
		have, err := c.Docker.Observe(ctx) // the reconcile loop reports this error
		open = err == nil && have.Obstacle == "" && !have.NeedsRestart
	}
	return gossip.Config{
		Name: cfg.Node.Name, Underlay: netip.AddrPortFrom(at.Addr, uint16(cfg.Mesh.Port)),
		Seeds: cfg.Mesh.Join, Bootstrap: cfg.Mesh.Bootstrap, Direct: direct, DirectAllowed: open, Keys: cfg.Mesh.Keys,
		Settings: gossip.Settings{Pool: cfg.Space(), Tunnel: tunnelConfig(cfg.Tunnel)}, Pins: cfg.Pins, Adapt: cfg.Adapt, Found: c.found,
		Fixed: cfg.Bip.Masked(), Prefer: c.preferredSubnets(ctx, cfg),
		TTL: cfg.LeaseTTL, Dir: cfg.StateDir, Log: log,
	}
}

// found returns the mesh settings that the existing tunnels imply, in case this
// host creates a mesh.
func (c Components) found(ctx context.Context) ([]settings.Value, []mesh.Problem, error) {
	have, err := c.OVS.Observe(ctx)
	if err != nil {
		return nil, nil, err
	}
	values, problems := mesh.Found(have)
	return values, problems, nil
}

// preferredSubnets returns the subnets that this host already uses: the address
// of docker0, the bip in daemon.json, and the lease from flannel. A host that
// already has such a subnet asks for it first and so keeps its addresses.
func (c Components) preferredSubnets(ctx context.Context, cfg config.Config) []netip.Prefix {
	var found []netip.Prefix
	add := func(bip netip.Prefix) {
		if subnet := bip.Masked(); cfg.Space().Contains(subnet) && bip == lease.Bip(subnet) {
			found = append(found, subnet)
		}
	}
	// Errors are ignored here, because the reconcile loop reads the same and
	// reports them.
	if said, err := c.Docker.Bip(); err == nil {
		if bip, err := netip.ParsePrefix(said); err == nil {
			add(bip)
		}
	}
	if have, err := c.Kernel.Observe(ctx); err == nil {
		for _, addr := range have.Addrs {
			add(addr)
		}
	}
	if cfg.Imported.IsValid() {
		found = append(found, cfg.Imported)
	}
	return found
}
