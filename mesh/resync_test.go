package mesh

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestAnOpenVSwitchThatMustLearnIsAProblemAndNoDrift(t *testing.T) {
	for name, c := range map[string]struct {
		perPeer bool
		learns  string
		said    bool
	}{
		"per-peer":           {true, "ovs.db is no unix socket", true},
		"per-peer, and told": {true, "", false},
		"aggregate":          {false, "ovs.db is no unix socket", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := planned(testHost(2))
			w.ovs.StaticFDBError = c.learns
			l := w.loop()
			l.cfg.PerPeer = c.perPeer
			pass(t, l)
			if said := w.says(l, "ovs.db is no unix socket"); said != c.said {
				t.Errorf("said: %t; %+v", said, l.Status(t.Context()).Problems)
			}
			for _, d := range l.Audit(t.Context()).Drift {
				if strings.HasPrefix(d.Object, "fdb gre") {
					t.Errorf("drift: %s", d)
				}
			}
		})
	}
}

// What gives no notice is looked at in the first pass, and then every 30 s
// however many passes there are between.
func TestWhatGivesNoNoticeIsLookedAtEvery30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2))
		w.woken = make(chan struct{}, 1)
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Second)
		defer stop()
		var waker sync.WaitGroup
		waker.Go(func() {
			for ctx.Err() == nil {
				select {
				case w.woken <- struct{}{}:
				default:
				}
				time.Sleep(7 * time.Second)
			}
		})
		if err := w.loop().Run(ctx); err != nil {
			t.Fatal(err)
		}
		waker.Wait()
		if w.refreshed != 4 || w.observed < 14 { // at 0, 30, 60 and 90 s
			t.Errorf("anew in %d passes of %d", w.refreshed, w.observed)
		}
	})
}

func TestAnEntryIsCausedByWhatCausedItsTunnel(t *testing.T) {
	w := planned(testHost(2))
	w.ovs.Static = map[ovsdb.MAC]int{}
	l := w.loop()
	l.cfg.PerPeer = true
	pass(t, l)
	if n := len(w.applied); n == 0 || w.applied[0] != "switch" {
		t.Fatalf("applied %v", w.applied)
	}
	for _, c := range w.history {
		if c.Object == "fdb gre43 02:42:ac:11:2b:01" && c.Is == "behind gre43" && c.Cause == "the agent was started" {
			return
		}
	}
	t.Errorf("history %+v", w.history)
}
