package main

import (
	"context"

	"github.com/gremesh/gremesh/testenv"
)

// watch reports the progress of each host, each step once.
type watch struct {
	demo  *demo
	lease map[*testenv.Host]bool
	peers map[*testenv.Host]bool
}

func newWatch(d *demo) *watch {
	return &watch{demo: d, lease: map[*testenv.Host]bool{}, peers: map[*testenv.Host]bool{}}
}

// look asks every agent, and reports whether every host has all its tunnels up.
func (w *watch) look(ctx context.Context) bool {
	hosts := w.demo.lab.Hosts()
	for _, h := range hosts {
		s, err := h.Status(ctx)
		if err != nil {
			continue // the agent is not ready yet; the caller reports a lasting error
		}
		if s.Host.Bip.IsValid() && !w.lease[h] {
			w.lease[h] = true
			w.demo.step(h.Name, "holds %s, and takes %s for docker0", s.Host.Subnet, s.Host.Bip.Addr())
		}
		up := 0
		for _, p := range s.Peers {
			if p.Tunnel.BFD == "up" {
				up++
			}
		}
		if up == len(hosts)-1 && !w.peers[h] {
			w.peers[h] = true
			w.demo.step(h.Name, "%d of %d tunnels up", up, len(hosts)-1)
		}
	}
	return len(w.peers) == len(hosts)
}
