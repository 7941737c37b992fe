package mesh

import (
	"context"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Membership is gossip, as far as the Loop needs it.
type Membership interface {
	View() View
	Changed() <-chan struct{}
	Report(TunnelCount)
	SetDirectAllowed(bool)           // publishes whether packets without a tunnel reach this host's containers
	PublishOffers(map[lease.ID]Pair) // publishes one Pair to each peer; a peer that is not in the map gets none
	Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error)
}

// Switch is Open vSwitch on this host.
type Switch interface {
	Observe(context.Context) (ovsdb.State, error)
	Refresh()                         // makes the next Observe read again the state for which there are no events
	PurgeFlows(context.Context) error // makes Open vSwitch compute its flows again
	Apply(context.Context, []ovsdb.Change) error
	Changed() <-chan struct{}
	Traffic(context.Context) (map[string]ovsdb.Traffic, error)
}

// Kernel is the Linux networking state of this host.
type Kernel interface {
	SaveOriginal(context.Context) error // saves the original state; called before the first change to this host
	Observe(context.Context) (bridge.State, error)
	Refresh() // makes the next Observe read again the state that kernel events keep up to date
	Apply(context.Context, []bridge.Change) error
	Changed() <-chan struct{}
	Watch(ctx context.Context, notify func()) error      // calls notify when Changed receives
	Echo(ctx context.Context, from, to netip.Addr) error // returns nil if the echo is answered
}

// Docker is Docker's configuration and its daemon.
type Docker interface {
	Observe(context.Context) (docker.State, error)
	Apply(context.Context, []docker.Change) error
	Restart(context.Context) error
	Changed() <-chan struct{}
}

// NAT is the packet filter of this host.
type NAT interface {
	Observe(context.Context) (filter.State, error)
	Apply(context.Context, []filter.Change) error
	Changed() <-chan struct{}
	Watch(ctx context.Context, notify func()) error // calls notify when Changed receives
}

// Masquerade provides the operator's masquerading configuration, which may
// change at any time.
type Masquerade interface {
	State() filter.FileState
	Changed() <-chan struct{}
}

// History receives every change. Any goroutine may call it.
type History interface {
	Append(...journal.Change)
}

// Mark stores a flag until this host's next boot.
type Mark interface {
	IsSet() (bool, error)
	Set() error
}

// Ages returns for each name how long its youngest process on this host has
// been running. A name without a process is not in the result.
type Ages func(names ...string) (map[string]time.Duration, error)
