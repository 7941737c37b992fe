package mesh

import (
	"context"
	"net/netip"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/ovsdb"
)

// Membership is gossip, as the loop needs it.
type Membership interface {
	View() View
	Changed() <-chan struct{}
	Report(TunnelCount)
	Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error)
}

// Switch is Open vSwitch on this host.
type Switch interface {
	Observe(context.Context) (ovsdb.Actual, error)
	Apply(context.Context, []ovsdb.Change) error
	Changed() <-chan struct{}
	Traffic(context.Context) (map[string]ovsdb.Traffic, error)
}

// Kernel is the Linux side of this host.
type Kernel interface {
	Remember(context.Context) error // comes before the first change to this host
	Observe(context.Context) (bridge.Actual, error)
	Apply(context.Context, []bridge.Change) error
	Changed() <-chan struct{}
}

// Docker is Docker's configuration and its daemon.
type Docker interface {
	Observe(context.Context) (docker.Actual, error)
	Apply(context.Context, []docker.Change) error
	Restart(context.Context) error
}
