package gossip

import (
	"errors"
	"io"
	"log"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Bare returns a memberlist with the settings of a Node and without the layers
// of a Node. Measurements use it. The memberlist has joined the Config's seeds,
// and runs until the caller shuts it down.
func Bare(cfg Config, id lease.ID) (*memberlist.Memberlist, error) {
	wire, err := listen(networkConfig{at: cfg.Underlay, keyed: len(cfg.Keys) > 0, isKnown: anybody})
	if err != nil {
		return nil, err
	}
	c := (&Node{cfg: cfg, self: id}).memberlistConfig(wire)
	c.Delegate, c.Events, c.Conflict, c.Alive, c.Merge = nil, nil, nil, nil, nil
	c.Logger = log.New(io.Discard, "", 0)
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, errors.Join(err, wire.Shutdown())
	}
	if _, err := list.Join(cfg.Seeds); err != nil {
		return nil, errors.Join(err, list.Shutdown())
	}
	return list, nil
}
