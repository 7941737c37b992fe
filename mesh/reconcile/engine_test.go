package reconcile

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestEventsAreDebounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		start(t, newEngine(t, options(t, m, newSource(wish{}), a)))
		time.Sleep(time.Second)
		m.taken()
		for range 200 { // for 2 s, closer than the quiet time
			a.events <- struct{}{}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := len(m.taken()); n < 4 || n > 5 {
			t.Errorf("2 s of events led to %d observations, want one in 500 ms", n)
		}
		a.events <- struct{}{}
		time.Sleep(60 * time.Millisecond)
		wantCalls(t, m, "observe a")
	})
}

func TestANewDesiredStateIsAppliedAfterItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		src := newSource(wish{})
		start(t, newEngine(t, options(t, m, src, newFake(m, "a"))))
		time.Sleep(time.Second)
		src.set(&wish{"a": {"x": "1"}})
		time.Sleep(9 * time.Millisecond)
		if got := m.get("a"); len(got) > 0 {
			t.Errorf("before the window ended: %v", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := m.get("a"); got["x"] != "1" {
			t.Errorf("after the window: %v", got)
		}
	})
}

func TestAFailedComponentBacksOffAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a, b := newFake(m, "a"), newFake(m, "b", "a")
		a.fail(errors.New("no such device"))
		src := newSource(wish{"b": {"x": "1"}})
		opts := options(t, m, src, a, b)
		opts.Resync = time.Hour
		start(t, newEngine(t, opts))
		time.Sleep(50 * time.Millisecond)
		wantCalls(t, m, "observe a", "observe b", "apply b x=1", "observe b")
		var at []time.Duration
		began := time.Now()
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			if slices.Contains(m.taken(), "observe a") {
				at = append(at, time.Since(began).Round(100*time.Millisecond))
			}
		}
		want := []time.Duration{100, 300, 700, 1500, 3100, 6300, 12700, 22700, 32700, 42700, 52700}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(at, want) {
			t.Errorf("it was tried again after\n %s, want\n %s", at, want)
		}
	})
}

// A lost connection makes events itself.
func TestAFailedComponentIgnoresEventsForASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		a.fail(errors.New("no such device"))
		start(t, newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), a)))
		time.Sleep(8 * time.Second) // the last failure was at 6.3 s, and the next retry is due at 12.7 s
		m.taken()
		a.fail(nil)
		a.events <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		if got := m.get("a"); got["x"] != "1" {
			t.Errorf("an event more than a second after the failure did not lead to a retry: %v", got)
		}
		a.fail(errors.New("no such device"))
		m.taken()
		for range 500 {
			a.events <- struct{}{}
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(m.taken()); n > 10 {
			t.Errorf("5 s of events led to %d attempts", n)
		}
	})
}

func TestEverythingIsObservedAgainPeriodically(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		r := &refresher{fake: newFake(m, "a")}
		start(t, newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), r)))
		time.Sleep(time.Second)
		m.taken()
		m.set("a", "x", "2") // nothing tells of it
		time.Sleep(30 * time.Second)
		wantCalls(t, m, "refresh a", "observe a", "apply a x=1", "observe a")
	})
}

type refresher struct{ *fake }

func (r *refresher) Refresh() { r.machine.called("refresh %s", r.name) }

func TestAWatchThatEndsIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		start(t, newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), a)))
		time.Sleep(time.Second)
		m.taken()
		m.set("a", "x", "2") // while nothing watches
		close(a.events)
		time.Sleep(time.Second)
		wantCalls(t, m, "observe a", "apply a x=1", "observe a")
		m.set("a", "x", "3")
		a.events <- struct{}{}
		time.Sleep(time.Second)
		wantCalls(t, m, "observe a", "apply a x=1", "observe a")
	})
}
