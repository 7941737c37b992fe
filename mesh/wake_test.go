package mesh

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wake makes an event every gap until ctx ends.
func wake(ctx context.Context, group *sync.WaitGroup, events chan<- struct{}, gap time.Duration) {
	group.Go(func() {
		for ctx.Err() == nil {
			select {
			case events <- struct{}{}:
			default:
			}
			time.Sleep(gap)
		}
	})
}

func TestEventsAreGathered(t *testing.T) {
	for name, c := range map[string]struct {
		gap    time.Duration // between events
		host   bool          // of the host, else of the mesh
		passes int           // in 10 s, at most
		least  int
	}{
		"a storm of the host":  {time.Millisecond, true, 21, 19},
		"a storm of the mesh":  {999 * time.Microsecond, false, 101, 95}, // none at the instant of a pass, which would give way to it
		"one by one, host":     {time.Second, true, 11, 10},
		"one by one, mesh":     {time.Second, false, 11, 10},
		"a hundred a second":   {10 * time.Millisecond, true, 21, 19},
		"rarely enough, host":  {200 * time.Millisecond, true, 51, 49},
		"as rarely, mesh, too": {200 * time.Millisecond, false, 51, 49},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := planned(testHost(2))
				events := make(chan struct{}, 1)
				if c.host {
					w.kernelWoken = events
				} else {
					w.woken = events
				}
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				var waker sync.WaitGroup
				wake(ctx, &waker, events, c.gap)
				if err := w.loop().Run(ctx); err != nil || w.reports > c.passes || w.reports < c.least {
					t.Errorf("%d passes in 10 s, want %d to %d; %v", w.reports, c.least, c.passes, err)
				}
				waker.Wait()
			})
		})
	}
}

func TestAnEventOfTheMeshDoesNotWaitForAStormOfTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.kernelWoken, w.woken = make(chan struct{}, 1), make(chan struct{}, 1)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var waker sync.WaitGroup
		wake(ctx, &waker, w.kernelWoken, time.Millisecond)
		l := w.loop()
		waker.Go(func() { _ = l.Run(ctx) })
		time.Sleep(2*hostImpatience + hostImpatience/4)
		synctest.Wait()
		before := w.reports
		w.woken <- struct{}{}
		time.Sleep(meshQuiet + time.Millisecond)
		synctest.Wait()
		if w.reports != before+1 {
			t.Errorf("%d passes %s after it, want one", w.reports-before, meshQuiet)
		}
		stop()
		waker.Wait()
	})
}

func TestWhileOthersAreAboutToGetTheirSubnetsMoreIsGathered(t *testing.T) {
	for name, c := range map[string]struct {
		subnets bool // they have them
		gap     time.Duration
		passes  int // in 10 s
	}{
		"one after the other": {false, 49 * time.Millisecond, 10}, // none at the instant of a pass, which would give way to it,
		"one for long":        {false, time.Second, 10},
		"all have":            {true, 49 * time.Millisecond, 204},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := testHost(2)
				if !c.subnets {
					peer.Subnet = netip.Prefix{}
				}
				w := planned(peer)
				w.woken = make(chan struct{}, 1)
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				var waker sync.WaitGroup
				wake(ctx, &waker, w.woken, c.gap)
				if err := w.loop().Run(ctx); err != nil || w.reports < c.passes-1 || w.reports > c.passes+1 {
					t.Errorf("%d passes in 10 s, want %d; %v", w.reports, c.passes, err)
				}
				waker.Wait()
			})
		})
	}
}

func TestTheEndOfAFailureIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.ovsErr, w.kernelWoken = errors.New("no Open vSwitch"), make(chan struct{}, 1)
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		l := w.loop()
		run.Go(func() { _ = l.Run(ctx) })
		time.Sleep(5 * time.Minute) // the pauses are as long as they get
		synctest.Wait()
		l.busy.Lock()
		w.ovsErr, w.ovs.Ports = nil, nil
		l.busy.Unlock()
		w.kernelWoken <- struct{}{}
		time.Sleep(longestDeaf + hostQuiet)
		synctest.Wait()
		// Which tunnels the packet filter lets in is known with Open vSwitch.
		if got := strings.Join(w.applied, " "); got != "nat switch nat" {
			t.Errorf("applied %v", w.applied)
		}
		stop()
		run.Wait()
	})
}
