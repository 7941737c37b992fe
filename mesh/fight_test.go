package mesh

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// keyOf is the key with a text: "port gre43 protected".
func keyOf(text string) reconcile.Key {
	kind, rest, _ := strings.Cut(text, " ")
	if after, ok := strings.CutPrefix(text, bridge.KindAddress+" "); ok {
		kind, rest = bridge.KindAddress, after
	}
	name, field, _ := strings.Cut(rest, " ")
	return reconcile.Key{Kind: kind, Name: name, Field: field}
}

// Another program changes an object every so often. How often is it put right?
func TestFights(t *testing.T) {
	route := drift.Of(keyOf("route 172.17.0.0/16"), "", "there")
	for name, c := range map[string]struct {
		what   drift.Drift
		every  time.Duration // it is changed, if it was put right
		lasts  time.Duration
		mends  int
		fought bool
	}{
		"now and then":             {route, 10 * time.Second, 10 * time.Minute, 60, false},
		"four times, then never":   {route, time.Second, 4 * time.Second, 4, false},
		"a fight":                  {route, time.Second, time.Minute, 5 + 4 + 4, true}, // +1, +2, +4, +8, and then every 10 s
		"a fight without a breath": {route, 10 * time.Millisecond, time.Minute, 5 + 4 + 4, true},
		"over protected":           {drift.Of(keyOf("port gre43 protected"), "", "true"), 10 * time.Millisecond, time.Minute, 5 + 60, true},
	} {
		t.Run(name, func(t *testing.T) {
			f, now, mends := newFights(), time.Unix(1e9, 0), 0
			for end := now.Add(c.lasts); now.Before(end); now = now.Add(c.every) {
				f.forget(now)
				if left, _ := f.postponed(now, []drift.Drift{c.what}); !left[0] {
					mends++
					f.mended(now, c.what)
				}
			}
			if mends < c.mends-1 || mends > c.mends || (len(f.problems()) > 0) != c.fought {
				t.Errorf("put right %d times, want %d; %+v", mends, c.mends, f.problems())
			}
			if f.forget(now.Add(fightOver)); len(f.all) > 0 {
				t.Errorf("it is not forgotten: %+v", f.problems())
			}
		})
	}
}

func TestAFightBeginsWithItsFirstBlow(t *testing.T) {
	f, now := newFights(), time.Unix(1e9, 0)
	d := drift.Of(keyOf("route 172.17.0.0/16"), "", "there")
	f.mended(now, d) // long before
	now = now.Add(fightWithin + time.Second)
	began := now
	for range fightAfter {
		f.mended(now, d)
		now = now.Add(time.Second)
	}
	want := "5 times since " + began.Format(time.TimeOnly)
	if p := f.problems(); len(p) != 1 || !strings.Contains(p[0].Do, want) {
		t.Errorf("%+v, want %q", p, want)
	}
}

func TestAChangeOfMindIsNoFight(t *testing.T) {
	f, now := newFights(), time.Unix(1e9, 0)
	for i := range 20 {
		d := drift.Of(keyOf("port gre43"), "", strings.Repeat("x", i))
		if left, _ := f.postponed(now, []drift.Drift{d}); left[0] || len(f.mended(now, d)) > 0 {
			t.Fatal("the desired state has changed each time")
		}
	}
}

func TestWhatNeedsAPostponedObjectIsPostponedWithIt(t *testing.T) {
	is := func(object string) drift.Drift { return drift.Of(keyOf(object), "x", "y") }
	gone := func(object string) drift.Drift { return drift.Of(keyOf(object), "", "y") }
	for name, c := range map[string]struct {
		fought drift.Drift
		found  []drift.Drift
		left   []bool
	}{
		"docker0":           {gone("link docker0"), []drift.Drift{gone("link docker0"), gone("address of docker0"), is("link br0 master"), gone("route 172.17.0.0/16")}, []bool{true, true, true, true}},
		"docker0's state":   {is("link docker0 state"), []drift.Drift{is("link docker0 state"), is("link docker0 mtu"), gone("route 172.17.0.0/16")}, []bool{true, false, true}},
		"docker0's address": {is("address of docker0"), []drift.Drift{is("address of docker0"), is("link br0 master"), gone("route 172.17.0.0/16")}, []bool{true, false, true}},
		"br0":               {gone("bridge br0"), []drift.Drift{gone("bridge br0"), gone("port gre43")}, []bool{true, true}},
		"br0's fail_mode":   {is("bridge br0 fail_mode"), []drift.Drift{is("bridge br0 fail_mode"), gone("port gre43")}, []bool{true, false}},
		"a port":            {gone("port gre43"), []drift.Drift{gone("port gre43"), gone("port gre44")}, []bool{true, false}},
		"something else":    {gone("port gre99"), []drift.Drift{gone("port gre43")}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			f, now := newFights(), time.Unix(1e9, 0)
			for range fightAfter {
				f.mended(now, c.fought)
			}
			left, due := f.postponed(now, c.found)
			for i := range left {
				if left[i] != c.left[i] {
					t.Errorf("%s: postponed %t", c.found[i].Object, left[i])
				}
			}
			if want := now.Add(firstPause); c.left[0] != due.Equal(want) {
				t.Errorf("due at %s, want %s", due, want)
			}
		})
	}
}

// meddles changes the world a hundred times a second for a minute, and returns
// how many passes were made meanwhile.
func (w *world) meddles(t *testing.T, l *Loop, meddle func()) (passes int) {
	w.kernelWoken = make(chan struct{}, 1)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var run sync.WaitGroup
	run.Go(func() { _ = l.Run(ctx) })
	for ctx.Err() == nil {
		l.busy.Lock()
		meddle()
		l.busy.Unlock()
		select {
		case w.kernelWoken <- struct{}{}:
		default:
		}
		time.Sleep(10 * time.Millisecond)
	}
	run.Wait()
	return w.observed
}

func TestAHundredChangesASecondCostFewPassesAndFewerChanges(t *testing.T) {
	for name, c := range map[string]struct {
		meddle  func(*world)
		changes int // made in a minute, at most
		says    string
	}{
		"the route": {func(w *world) { w.kernel.Routes = nil }, 14, "another program keeps changing route 172.17.0.0/16; gremesh keeps setting it to "},
		"docker0": {func(w *world) {
			w.kernel.Bridge, w.kernel.OVSPort.Master, w.kernel.Addrs, w.kernel.Routes = bridge.Link{Name: "docker0"}, "", nil, nil
		}, 14, "another program keeps changing link docker0; "},
		"protected": {func(w *world) {
			w.ovs.Ports[0].Protected = false
		}, 66, "another program keeps changing port gre43 protected; "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := planned(testHost(2))
				l := w.loop()
				passes := w.meddles(t, l, func() { c.meddle(w) })
				if passes > 260 { // two a second, and two more after each change
					t.Errorf("%d passes in a minute", passes)
				}
				if len(w.applied) > c.changes || len(w.applied) < c.changes-4 {
					t.Errorf("applied %d times, want %d at most", len(w.applied), c.changes)
				}
				if !w.says(l, c.says) {
					t.Errorf("status does not say %q: %+v", c.says, l.Status(t.Context()).Problems)
				}
				if n := strings.Count(w.log.String(), "msg=problem problem=\"another program keeps changing"); n == 0 || n > 4 || strings.Contains(w.log.String(), "Open vSwitch") {
					t.Errorf("the log says so %d times:\n%s", n, w.log.String())
				}
				pass(t, l) // it has ended, or has left the last change
				time.Sleep(lastPause)
				pass(t, l)
				time.Sleep(fightOver)
				if pass(t, l); w.says(l, "another program") {
					t.Errorf("it is over, and status says %+v", l.Status(t.Context()).Problems)
				}
			})
		})
	}
}

func TestWhileOneThingIsFoughtOverTheRestIsKept(t *testing.T) {
	w := twoPeers()
	l := w.loop()
	for range fightAfter {
		w.kernel.Routes = nil
		pass(t, l)
	}
	w.kernel.Routes = nil
	w.ovs.Ports, w.applied = w.ovs.Ports[:1], nil
	if !pass(t, l) || strings.Join(w.applied, " ") != "switch" {
		t.Errorf("applied %v", w.applied)
	}
	w.ovsErr = errors.New("no Open vSwitch")
	if pass(t, l) || strings.Join(w.applied, " ") != "switch" {
		t.Errorf("applied %v", w.applied)
	}
}
