package gossip

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// Two clones that have been running for about as long tell each other so, by
// messages that take a while. Exactly one of them stops.
func TestOfTwoClonesExactlyOneStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tm := &testMesh{t: t, port: 7946}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 2000 {
			twins := []*Node{{cfg: Config{Underlay: tm.address(1)}}, {cfg: Config{Underlay: tm.address(2)}}}
			between := time.Duration(rng.Int64N(int64(6*time.Second))) - 3*time.Second
			twins[0].started, twins[1].started = time.Now().Add(-time.Minute-between), time.Now().Add(-time.Minute)
			stopped := exchange(twins, func() { time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond)))) })
			if stopped[0] == stopped[1] {
				t.Fatalf("the first has been running for longer by %s; stopped: %t", between, stopped)
			}
			if between.Abs() > 2*closeCall && stopped[0] != (between < 0) {
				t.Errorf("the first has been running for longer by %s; stopped: %t", between, stopped)
			}
		}
	})
}

// exchange has two messages cross each other a few times.
func exchange(twins []*Node, onTheWay func()) (stopped [2]bool) {
	for range 4 {
		said := []time.Duration{twins[0].uptime(), twins[1].uptime()}
		silent := stopped
		for i, n := range twins {
			onTheWay()
			other := 1 - i
			if !stopped[i] && !silent[other] && !n.older(twins[other].cfg.Underlay, said[other]) {
				stopped[i] = true
			}
		}
	}
	return stopped
}
