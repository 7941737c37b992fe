package mesh

import (
	"context"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/mesh/history"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// Membership is gossip, as the loop needs it.
type Membership interface {
	View() View
	Changed() <-chan struct{}
	Report(TunnelCount)
	Open(bool)               // whether packets that come without a tunnel get through to containers
	Agree(map[lease.ID]Pair) // tells each peer what it must know of their tunnel; those that are not in it: nothing
	Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error)
}

// Switch is Open vSwitch on this host.
type Switch interface {
	Observe(context.Context) (ovsdb.Actual, error)
	Refresh()                         // has the next Observe look anew at what gives no notice
	Reconsider(context.Context) error // has it work out its flows anew
	Apply(context.Context, []ovsdb.Change) error
	Changed() <-chan struct{}
	Traffic(context.Context) (map[string]ovsdb.Traffic, error)
}

// Kernel is the Linux side of this host.
type Kernel interface {
	Remember(context.Context) error // comes before the first change to this host
	Observe(context.Context) (bridge.Actual, error)
	Refresh() // has the next Observe read anew what it keeps by the kernel's notices
	Apply(context.Context, []bridge.Change) error
	Changed() <-chan struct{}
	Echo(ctx context.Context, from, to netip.Addr) error // nil when it is answered
}

// Docker is Docker's configuration and its daemon.
type Docker interface {
	Observe(context.Context) (docker.Actual, error)
	Apply(context.Context, []docker.Change) error
	Restart(context.Context) error
	Changed() <-chan struct{}
}

// NAT is the packet filter of this host.
type NAT interface {
	Observe(context.Context) (masq.Actual, error)
	Apply(context.Context, []masq.Change) error
	Changed() <-chan struct{}
}

// Masquerade is what the operator says about masquerading, at any time anew.
type Masquerade interface {
	State() masq.FileState
	Changed() <-chan struct{}
}

// History is told of every change. It may be told from any goroutine.
type History interface {
	Append(...history.Change)
}

// Mark records something until this host's next boot.
type Mark interface {
	IsSet() (bool, error)
	Set() error
}

// Ages tells how long the youngest process of each name has been running on
// this host; of a name that no process has, nothing.
type Ages func(names ...string) (map[string]time.Duration, error)
