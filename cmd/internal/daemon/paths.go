package daemon

import (
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/pathmtu"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// pathsAfter limits how long the first pass waits for the path measurements.
// They take a few round trips, and longer only if packets are lost.
const pathsAfter = 2 * time.Second

// peers returns the peers whose paths are measured. These are the alive peers,
// and the peers that failed after this agent started, because they may keep
// their tunnels.
func (a *agent) peers() []netip.Addr {
	var all []netip.Addr
	for _, peer := range a.node.View().Peers {
		if peer.Liveness == mesh.Alive || peer.Liveness == mesh.Failed && peer.Since.After(a.began) {
			all = append(all, peer.Underlay)
		}
	}
	return all
}

// wayTo returns the source address and the device by which this host sends to a
// peer, with the device's MTU in bytes.
func wayTo(peer netip.Addr) (route pathmtu.Route, err error) {
	route.Source, route.Link, route.MTU, err = bridge.Source(peer)
	return route, err
}

// tellPaths passes the measured path MTUs, in bytes, to gossip.
func (a *agent) tellPaths(paths map[netip.Addr]pathmtu.Path) {
	sizes := make(map[netip.Addr]int, len(paths))
	for to, path := range paths {
		sizes[to] = path.MTU
	}
	a.node.Measured(sizes)
}

// membershipWithUnderlay is a gossip node that adds the problems of the
// underlay to its view.
type membershipWithUnderlay struct {
	*gossip.Node
	watcher *machine.UnderlayWatcher
	paths   *pathmtu.Prober
}

// Report implements mesh.Membership. Each pass calls it, and a pass follows
// every change of the peers. Therefore it also tells the path prober that peers
// may have changed.
func (l membershipWithUnderlay) Report(count mesh.TunnelCount) {
	l.paths.PeersChanged()
	l.Node.Report(count)
}

// View implements mesh.Membership.
func (l membershipWithUnderlay) View() mesh.View {
	view := l.Node.View()
	if trouble := l.watcher.Problem(); trouble != nil {
		view.Problems = append([]mesh.Problem{*trouble}, view.Problems...)
	}
	return view
}
