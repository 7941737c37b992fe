package mesh

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A loop that looks only at what has changed says and does what one does that
// looks at everything.
func TestWhatWasSeenMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := planned(testHost(2), testHost(3), testHost(4))
		w.docker.Running = false // a restart is not forgotten with what was seen
		l := w.loop()
		l.pass(t.Context())
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			w.view.Peers = slices.Clone(w.view.Peers)
			peer := &w.view.Peers[rapid.IntRange(0, len(w.view.Peers)-1).Draw(rt, "peer")]
			disturbed := false
			switch rapid.IntRange(0, 8).Draw(rt, "what") {
			case 0:
				peer.Liveness = rapid.SampledFrom([]Liveness{Alive, Left}).Draw(rt, "liveness")
			case 1:
				peer.Underlay = peer.Underlay.Next()
			case 2:
				peer.Path = rapid.SampledFrom([]int{0, 1400, 1500}).Draw(rt, "path")
			case 3:
				peer.Tunnels.Up++
			case 4:
				peer.Cut = !peer.Cut
			case 5:
				peer.Name += "x"
			case 6:
				w.ovs = ovsAsPlanned(w.view)
				if len(w.ovs.Ports) > 0 {
					w.ovs.Ports[0].BFD.State = "down"
				}
			case 7:
				w.kernel.Routes, disturbed = nil, true
			case 8:
				w.docker.MTU, disturbed = 1500, true
			}
			anew := &world{
				view: w.view, ovs: w.ovs, docker: w.docker, kernel: w.kernel, nat: w.nat, said: w.said, restart: succeeds, takes: func() {},
			}
			w.applied = nil
			l.undisturbed = !disturbed
			l.pass(t.Context())
			afterRestart(t, l)
			other := anew.loop()
			other.pass(t.Context())
			afterRestart(t, other)
			if d := cmp.Diff(anew.applied, w.applied); d != "" {
				rt.Errorf("applied anew (-), and by what was seen (+):\n%s", d)
			}
			if d := cmp.Diff(other.last.Load().problems, l.last.Load().problems); d != "" {
				rt.Errorf("problems anew (-), and by what was seen (+):\n%s", d)
			}
			if anew.reported != w.reported {
				rt.Errorf("%+v was reported, anew %+v", w.reported, anew.reported)
			}
		}
	})
}
