package reconcile

import (
	"context"
	"sync"
)

// Broadcast tells any number of watchers that something may have changed. Its
// zero value has no watchers.
type Broadcast struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

// Notify calls notify of every watcher. It does not wait for them: notifications
// that come faster than a watcher handles them become one.
func (b *Broadcast) Notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Watch calls notify after each Notify, until ctx ends. It has the signature of
// Component.Watch.
func (b *Broadcast) Watch(ctx context.Context, notify func()) error {
	c := make(chan struct{}, 1)
	b.mu.Lock()
	if b.watchers == nil {
		b.watchers = make(map[chan struct{}]bool)
	}
	b.watchers[c] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, c)
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c:
			notify()
		}
	}
}
