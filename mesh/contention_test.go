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

// What the engine does about contended objects.
const (
	fightAfter = 5
	fightOver  = time.Minute
	lastPause  = 10 * time.Second
)

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
