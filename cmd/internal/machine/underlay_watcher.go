package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh"
)

const (
	lookQuiet = 200 * time.Millisecond // debounce: an address that is removed and added again is one change
	lookAgain = 30 * time.Second
)

// UnderlayWatcher detects changes of this host's underlay.
type UnderlayWatcher struct {
	cfg config.Config
	// toward is the result of destination, determined once, because names may
	// not resolve while the network is down.
	toward  netip.Addr
	log     *slog.Logger
	woken   chan struct{} // capacity 1
	trouble atomic.Pointer[mesh.Problem]
}

// NewUnderlayWatcher returns a watcher, which Run makes work. It resolves the
// first seed.
func NewUnderlayWatcher(cfg config.Config, log *slog.Logger) *UnderlayWatcher {
	return &UnderlayWatcher{cfg: cfg, toward: destination(cfg), log: log, woken: make(chan struct{}, 1)}
}

// Run listens for network changes from the kernel until ctx ends.
func (w *UnderlayWatcher) Run(ctx context.Context) error {
	return bridge.WatchNetwork(ctx, func() {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	})
}

// Moved waits until the address or the MTU of the underlay differs from at. It
// then returns the new underlay and true. It returns false if ctx ends.
func (w *UnderlayWatcher) Moved(ctx context.Context, at Underlay) (Underlay, bool) {
	for {
		now, err := w.find(at)
		w.report(at, err)
		if err == nil && (now.Addr != at.Addr || now.MTU != at.MTU) {
			return now, true
		}
		select {
		case <-ctx.Done():
			return Underlay{}, false
		case <-w.woken:
		case <-time.After(lookAgain):
		}
		select {
		case <-ctx.Done():
			return Underlay{}, false
		case <-time.After(lookQuiet):
		}
	}
}

// find is FindUnderlay with one exception: if the device of the current address
// is down, it returns the current underlay. The device will come up again, and
// until then the route to the seeds may use another device.
func (w *UnderlayWatcher) find(at Underlay) (Underlay, error) {
	now, err := underlayToward(w.cfg, w.toward)
	if err != nil || now.Addr == at.Addr {
		return now, err
	}
	if down, err := bridge.IsDown(at.Addr); err == nil && down {
		return at, nil
	}
	if w.cfg.Pool.Contains(now.Addr) { // gossip and tunnels stay at the old address
		return now, errors.New(poolHasUnderlay(w.cfg.Pool, now.Addr).String())
	}
	return now, nil
}

// Problem returns why the underlay address is missing or in doubt. It returns
// nil if it is not.
func (w *UnderlayWatcher) Problem() *mesh.Problem { return w.trouble.Load() }

// report makes `gremesh status` show why the underlay address is missing or in
// doubt. A nil err clears the problem.
func (w *UnderlayWatcher) report(at Underlay, err error) {
	if err == nil {
		w.trouble.Store(nil)
		return
	}
	problem := mesh.Problem{
		What: fmt.Sprintf("the underlay address %s: %s", at.Addr, err),
		Do:   "give the address back to its device; or set node.advertise to the one that it has now, and restart the agent",
	}
	if errors.Is(err, errAmbiguous) {
		problem.Do = "set node.advertise; without it the agent would not start again"
	}
	if last := w.trouble.Swap(&problem); last == nil || *last != problem {
		w.log.Warn("the underlay address is in doubt; gossip and tunnels stay as they are", "underlay", at.Addr, "err", err)
	}
}
