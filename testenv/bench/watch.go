package bench

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv"
)

// watch follows the tunnel ports of all hosts of a lab.
type watch struct {
	stop    context.CancelFunc
	group   errgroup.Group
	changed chan struct{} // capacity 1

	mu   sync.Mutex
	seen map[*testenv.Host]map[string]testenv.TunnelPort
}

func watchTunnels(ctx context.Context, l *testenv.Lab) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop, changed: make(chan struct{}, 1), seen: map[*testenv.Host]map[string]testenv.TunnelPort{}}
	for _, h := range l.Hosts() {
		w.group.Go(func() error {
			return h.WatchTunnels(ctx, func(ports map[string]testenv.TunnelPort) {
				w.mu.Lock()
				w.seen[h] = ports
				w.mu.Unlock()
				select {
				case w.changed <- struct{}{}:
				default:
				}
			})
		})
	}
	return w
}

func (w *watch) close() error {
	w.stop()
	return w.group.Wait()
}

// ports returns the host's tunnel ports by name.
func (w *watch) ports(h *testenv.Host) map[string]testenv.TunnelPort {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[h]
}

// count counts the tunnels of all hosts.
func (w *watch) count() testenv.Tunnels {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n testenv.Tunnels
	for _, ports := range w.seen {
		for _, p := range ports {
			if p.Present {
				n.Present++
			}
			if p.Up {
				n.Up++
			}
		}
	}
	return n
}

// wait returns as soon as wanted returns true for the tunnels of all hosts, or
// with an error if ctx ends.
func (w *watch) wait(ctx context.Context, wanted func(testenv.Tunnels) bool) error {
	for !wanted(w.count()) {
		select {
		case <-w.changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %+v of the tunnels", context.Cause(ctx), w.count())
		}
	}
	return nil
}
