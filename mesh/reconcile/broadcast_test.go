package reconcile

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestABroadcastReachesEveryWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Broadcast
		b.Notify() // nobody listens
		ctx, stop := context.WithCancel(t.Context())
		var calls [2]atomic.Int32
		var watchers sync.WaitGroup
		for i := range calls {
			watchers.Go(func() {
				if err := b.Watch(ctx, func() { calls[i].Add(1) }); !errors.Is(err, context.Canceled) {
					t.Errorf("Watch ended with %v", err)
				}
			})
		}
		synctest.Wait()
		for range 3 {
			b.Notify()
			synctest.Wait()
		}
		for i := range calls {
			if n := calls[i].Load(); n != 3 {
				t.Errorf("watcher %d was notified %d times, want 3", i, n)
			}
		}
		stop()
		watchers.Wait()
		b.Notify()
		if len(b.watchers) > 0 {
			t.Errorf("%d watchers are left", len(b.watchers))
		}
	})
}

func TestABroadcastDoesNotWaitForItsWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Broadcast
		ctx, stop := context.WithCancel(t.Context())
		var calls atomic.Int32
		handling := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- b.Watch(ctx, func() {
				calls.Add(1)
				<-handling
			})
		}()
		synctest.Wait()
		for range 100 {
			b.Notify()
		}
		close(handling)
		synctest.Wait()
		if n := calls.Load(); n < 1 || n > 2 {
			t.Errorf("100 notifications led to %d calls", n)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	})
}
