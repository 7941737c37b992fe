package load

import (
	"errors"
	"io"
	"log"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
)

// Bare returns a memberlist that joins the Config's seeds and has no layers of
// gremesh above it. It has the settings of a gossip.Node, see
// mesh/gossip/memberlist.go. It runs until the caller shuts it down.
func Bare(cfg gossip.Config, id lease.ID) (*memberlist.Memberlist, error) {
	wire, err := listen(cfg.Underlay, make(chan net.Conn))
	if err != nil {
		return nil, err
	}
	c := memberlist.DefaultLANConfig()
	c.Name = id.String()
	c.BindAddr, c.BindPort = cfg.Underlay.Addr().String(), int(cfg.Underlay.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort
	c.DeadNodeReclaimTime = time.Second
	c.EnableCompression = false
	c.GossipNodes = 8
	c.TCPTimeout = 2 * time.Second
	if len(cfg.Keys) > 0 {
		c.Keyring = must(memberlist.NewKeyring(cfg.Keys, cfg.Keys[0]))
	}
	c.Transport = wire
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
