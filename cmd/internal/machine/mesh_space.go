package machine

import (
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// InMesh returns the configuration with the pool and the prefix of this host's
// mesh, unless the operator chose them on this host. It ignores a state that it
// cannot read, because the component that needs the state reports it.
func InMesh(c config.Config) config.Config {
	if c.OwnsSpace() {
		return c
	}
	if space, err := gossip.PoolFor(c.StateDir); err == nil && space.Prefix.IsValid() {
		c.Pool, c.Prefix = space.Prefix, space.Bits
	}
	return c
}
