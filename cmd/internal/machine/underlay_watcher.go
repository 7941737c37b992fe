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

// Lookout detects changes of this host's underlay.
type Lookout struct {
	cfg config.Config
	// toward is the result of destination, determined once, because names may
	// not resolve while the network is down.
	toward  netip.Addr
	log     *slog.Logger
	woken   chan struct{} // capacity 1
	trouble atomic.Pointer[mesh.Problem]
}

func NewLookout(cfg config.Config, log *slog.Logger) *Lookout {
	return &Lookout{cfg: cfg, toward: destination(cfg), log: log, woken: make(chan struct{}, 1)}
}

// Run listens for network changes from the kernel until ctx ends.
func (l *Lookout) Run(ctx context.Context) error {
	return bridge.Notices(ctx, func() {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	})
}

// Moved waits until the address or the MTU of the underlay differs from at. It
// then returns the new underlay and true. It returns false if ctx ends.
func (l *Lookout) Moved(ctx context.Context, at Underlay) (Underlay, bool) {
	for {
		now, err := l.find(at)
		l.report(at, err)
		if err == nil && (now.Addr != at.Addr || now.MTU != at.MTU) {
			return now, true
		}
		select {
		case <-ctx.Done():
			return Underlay{}, false
		case <-l.woken:
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
func (l *Lookout) find(at Underlay) (Underlay, error) {
	now, err := underlayToward(l.cfg, l.toward)
	if err != nil || now.Addr == at.Addr {
		return now, err
	}
	if down, err := bridge.IsDown(at.Addr); err == nil && down {
		return at, nil
	}
	if l.cfg.Pool.Contains(now.Addr) { // gossip and tunnels stay at the old address
		return now, errors.New(poolHasUnderlay(l.cfg.Pool, now.Addr).String())
	}
	return now, nil
}

// Problem returns why the underlay address is missing or in doubt. It returns
// nil if it is not.
func (l *Lookout) Problem() *mesh.Problem { return l.trouble.Load() }

// report makes `gremesh status` show why the underlay address is missing or in
// doubt. A nil err clears the problem.
func (l *Lookout) report(at Underlay, err error) {
	if err == nil {
		l.trouble.Store(nil)
		return
	}
	problem := mesh.Problem{
		What: fmt.Sprintf("the underlay address %s: %s", at.Addr, err),
		Do:   "give the address back to its device; or set node.advertise to the one that it has now, and restart the agent",
	}
	if errors.Is(err, errAmbiguous) {
		problem.Do = "set node.advertise; without it the agent would not start again"
	}
	if last := l.trouble.Swap(&problem); last == nil || *last != problem {
		l.log.Warn("the underlay address is in doubt; gossip and tunnels stay as they are", "underlay", at.Addr, "err", err)
	}
}
