package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/pathmtu"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
)

const (
	lookQuiet = 200 * time.Millisecond // debounce: an address that is removed and added again is one change
	lookAgain = 30 * time.Second
)

// lookout detects changes of this host's underlay.
type lookout struct {
	cfg config.Config
	// toward is the result of destination, determined once, because names may
	// not resolve while the network is down.
	toward  netip.Addr
	log     *slog.Logger
	woken   chan struct{} // capacity 1
	trouble atomic.Pointer[mesh.Problem]
}

func newLookout(cfg config.Config, log *slog.Logger) *lookout {
	return &lookout{cfg: cfg, toward: destination(cfg), log: log, woken: make(chan struct{}, 1)}
}

// Run listens for network changes from the kernel until ctx ends.
func (l *lookout) Run(ctx context.Context) error {
	return bridge.Notices(ctx, func() {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	})
}

// moved waits until the address or the MTU of the underlay differs from at. It
// then returns the new underlay and true. It returns false if ctx ends.
func (l *lookout) moved(ctx context.Context, at underlay) (underlay, bool) {
	for {
		now, err := l.find(at)
		l.report(at, err)
		if err == nil && (now.addr != at.addr || now.mtu != at.mtu) {
			return now, true
		}
		select {
		case <-ctx.Done():
			return underlay{}, false
		case <-l.woken:
		case <-time.After(lookAgain):
		}
		select {
		case <-ctx.Done():
			return underlay{}, false
		case <-time.After(lookQuiet):
		}
	}
}

// find is findUnderlay with one exception: if the device of the current address
// is down, it returns the current underlay. The device will come up again, and
// until then the route to the seeds may use another device.
func (l *lookout) find(at underlay) (underlay, error) {
	now, err := underlayToward(l.cfg, l.toward)
	if err != nil || now.addr == at.addr {
		return now, err
	}
	if down, err := bridge.IsDown(at.addr); err == nil && down {
		return at, nil
	}
	if l.cfg.Pool.Contains(now.addr) { // gossip and tunnels stay at the old address
		return now, errors.New(poolHasUnderlay(l.cfg.Pool, now.addr).String())
	}
	return now, nil
}

// report makes `gremesh status` show why the underlay address is missing or in
// doubt. A nil err clears the problem.
func (l *lookout) report(at underlay, err error) {
	if err == nil {
		l.trouble.Store(nil)
		return
	}
	problem := mesh.Problem{
		What: fmt.Sprintf("the underlay address %s: %s", at.addr, err),
		Do:   "give the address back to its device; or set node.advertise to the one that it has now, and restart the agent",
	}
	if errors.Is(err, errAmbiguous) {
		problem.Do = "set node.advertise; without it the agent would not start again"
	}
	if last := l.trouble.Swap(&problem); last == nil || *last != problem {
		l.log.Warn("the underlay address is in doubt; gossip and tunnels stay as they are", "underlay", at.addr, "err", err)
	}
}

// located is a gossip node that adds the problems of the underlay to its view.
type located struct {
	*gossip.Node
	look  *lookout
	paths *pathmtu.Prober
}

// Report implements mesh.Membership. Each pass calls it, and a pass follows
// every change of the peers. Therefore it also tells the path prober that peers
// may have changed.
func (l located) Report(count mesh.TunnelCount) {
	l.paths.Renewed()
	l.Node.Report(count)
}

// View implements mesh.Membership.
func (l located) View() mesh.View {
	view := l.Node.View()
	if trouble := l.look.trouble.Load(); trouble != nil {
		view.Problems = append([]mesh.Problem{*trouble}, view.Problems...)
	}
	return view
}
