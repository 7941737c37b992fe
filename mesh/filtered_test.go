package mesh

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestATunnelThatStaysSilentIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer, dead, bare := testHost(2), testHost(3), testHost(4)
		peer.Silent, dead.Silent = "gre", "gre"
		dead.Liveness = Failed
		w := planned(peer, dead, bare)
		for i := range w.ovs.Ports {
			w.ovs.Ports[i].BFD.State = "down"
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		l := w.loop()
		go func() { done <- l.Run(ctx) }()
		problems := func() []Problem { synctest.Wait(); return l.Status(t.Context()).Problems }
		time.Sleep(9 * time.Second)
		if got := problems(); len(got) > 0 {
			t.Errorf("after 9 s: %+v", got)
		}
		time.Sleep(2 * time.Second)
		want := []Problem{{
			What:  "no GRE from h2 (192.168.248.140) although its agent answers: IP protocol 47 is filtered between the two",
			Do:    "allow IP protocol 47 (GRE) between the underlay addresses",
			Since: time.Now().UTC().Truncate(10 * time.Second),
		}}
		if d := cmp.Diff(want, problems()); d != "" {
			t.Errorf("after 11 s (-want +got)\n%s", d)
		}
		l.busy.Lock()
		if w.reconsidered != 1 {
			t.Errorf("Open vSwitch worked out its flows anew %d times, want once", w.reconsidered)
		}
		w.ovs.Ports[0].BFD.State = "up"
		l.busy.Unlock()
		time.Sleep(resyncEvery)
		if got := problems(); len(got) > 0 {
			t.Errorf("up: %+v", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
