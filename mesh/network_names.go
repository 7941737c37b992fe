package mesh

import (
	"context"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
)

// Networks lists Docker's networks. It returns none if no dockerd runs.
type Networks func(context.Context) ([]docker.Network, error)

// networksFor is how long a list of Docker's networks is valid.
const networksFor = 30 * time.Second

// networkNames maps bridges to the names of Docker networks. If Docker does not
// answer, the last list stays valid, so that a problem keeps its text. Only one
// goroutine at a time may use it.
type networkNames struct {
	list Networks // nil: no name is known
	all  []docker.Network
	at   time.Time // of the last request
}

// name sets the names of the Docker networks in overlaps. It asks Docker only
// if there is an overlap.
func (n *networkNames) name(ctx context.Context, overlaps []bridge.Overlap) []bridge.Overlap {
	if len(overlaps) == 0 || n.list == nil {
		return overlaps
	}
	if now := time.Now(); n.at.IsZero() || now.Sub(n.at) >= networksFor || n.misses(overlaps) {
		n.at = now
		if all, err := n.list(ctx); err == nil && len(all) > 0 {
			n.all = all
		}
	}
	for i := range overlaps {
		if name := docker.NetworkOf(n.all, overlaps[i].Route.Link); name != "" {
			overlaps[i].Network = name
		}
	}
	return overlaps
}

// misses reports whether a Docker network is not in the list, because it is
// new.
func (n *networkNames) misses(overlaps []bridge.Overlap) bool {
	for _, o := range overlaps {
		if o.Network != "" && docker.NetworkOf(n.all, o.Route.Link) == "" {
			return true
		}
	}
	return false
}
