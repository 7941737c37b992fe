package main

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/pathmtu"
	"github.com/gremesh/gremesh/mesh"
)

// pathsAfter is for how long the first pass waits for the paths to be measured.
// It takes a few round trips, and longer only where packets vanish.
const pathsAfter = 2 * time.Second

// peers are those whose paths are measured: all that are alive, and those that
// have fallen silent since this agent began, and may keep their tunnels.
func (a *agent) peers() []netip.Addr {
	var all []netip.Addr
	for _, peer := range a.node.View().Peers {
		if peer.Liveness == mesh.Alive || peer.Liveness == mesh.Failed && peer.Since.After(a.began) {
			all = append(all, peer.Underlay)
		}
	}
	return all
}

// wayTo is by which device this host's packets to a peer leave.
func wayTo(peer netip.Addr) (route pathmtu.Route, err error) {
	route.Source, route.Link, route.MTU, err = bridge.Source(peer)
	return route, err
}

// tellPaths hands on what was measured.
func (a *agent) tellPaths(paths map[netip.Addr]pathmtu.Path) {
	sizes := make(map[netip.Addr]int, len(paths))
	for to, path := range paths {
		sizes[to] = path.MTU
	}
	a.node.Measured(sizes)
}
