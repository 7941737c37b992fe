package lease

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	schedules = flag.Int("schedules", 300, "how many random schedules the simulation runs")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first schedule; a failure prints its own")
)

// TestNoTwoHostsHoldOneSubnetWhateverHappens draws schedules of 5 to 50 hosts
// with delay, loss, repetition, reordering, partitions, crashes that lose what
// was not durable, restarts, goodbyes, renumbering, and a host that is gone
// for good and forgotten. After every step no two hosts hold one subnet; a
// lease changes only when its host gave it up; and once the faults stop, every
// host holds one.
func TestNoTwoHostsHoldOneSubnetWhateverHappens(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n = min(n, 50)
	}
	if err := runSchedules(*firstSeed, n); err != nil {
		t.Error(err)
	}
}

// A simulation that can't fail proves nothing: without any one of the rules it
// finds a broken promise within the budget of an ordinary run.
// TestEachRuleIsNeeded runs this test.
func TestTheSimulationFindsWhatAMissingRuleBreaks(t *testing.T) {
	wanted(t, map[rule]bool{majority: true, oneGrant: true, higherVersion: true})
	err := runSchedules(1, 300)
	if err == nil {
		t.Fatalf("without %s nothing breaks", missing)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	t.Logf("without %s: %s", missing, first)
}

func runSchedules(first uint64, n int) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	var failed atomic.Bool
	for i := range uint64(n) {
		group.Go(func() error {
			if failed.Load() {
				return nil
			}
			err := runSchedule(first + i)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return group.Wait()
}

func runSchedule(seed uint64) error {
	_, err := playSchedule(seed)
	return err
}

func playSchedule(seed uint64) (*sim, error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	hosts := 5 + rng.IntN(10)
	if rng.IntN(10) == 0 {
		hosts = 15 + rng.IntN(36)
	}
	// A pool of 64, scarcely larger than the larger meshes: claims collide.
	s := newSim(seed, hosts, Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 16 + 6})
	s.loss, s.dup, s.crash = 0.2*rng.Float64(), 0.1*rng.Float64(), 0.02*rng.Float64()
	s.spread = rng.IntN(hosts + 1)
	spread := time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
	s.delay = func() time.Duration {
		d := 100*time.Microsecond + time.Duration(s.rng.ExpFloat64()*float64(spread))
		if s.rng.IntN(50) == 0 {
			d += time.Duration(s.rng.Int64N(int64(5 * time.Second))) // delayed beyond retries
		}
		return d
	}
	s.hosts[0].start()
	s.run(time.Millisecond, nil)
	for _, h := range s.hosts[1:] {
		s.after(time.Duration(rng.Int64N(int64(2*time.Second))), func() { h.start() })
	}
	const faults = 20 * time.Second
	s.disturb(faults)
	s.run(faults, nil)

	s.loss, s.dup, s.crash = 0, 0, 0
	for _, h := range s.hosts {
		h.group = 0
		if h.m == nil && !h.gone {
			h.start()
		}
	}
	s.run(faults+60*time.Second, s.settled)
	if s.wrong == nil && !s.settled() {
		s.breaks("not settled 60 s after the last fault\n%s", s.report())
	}
	return s, s.wrong
}

// disturb makes something happen to some host now and then.
func (s *sim) disturb(until time.Duration) {
	s.after(time.Duration(s.rng.ExpFloat64()*float64(300*time.Millisecond)), func() {
		if s.now >= until {
			return
		}
		h := s.hosts[s.rng.IntN(len(s.hosts))]
		switch dice := s.rng.IntN(20); {
		case h.gone:
		case h.m == nil:
			h.start()
		case dice < 5:
			h.stop()
		case dice < 8: // a partition, and its end
			for _, other := range s.hosts {
				other.group = s.rng.IntN(2) * s.rng.IntN(2)
			}
		case dice < 10:
			for _, other := range s.hosts {
				other.group = 0
			}
		case dice < 12:
			var to netip.Prefix
			if pool := h.m.cfg.Pool; s.rng.IntN(2) == 0 {
				to = pool.At(s.rng.IntN(pool.Len()))
			}
			out, err := h.m.Renumber(to)
			if err == nil {
				h.moving = true
				h.do(out)
			}
		case dice < 13:
			h.leave(s.rng.IntN(2) == 0)
		case dice < 14:
			h.image = h.disk
		case dice < 15:
			h.clone()
		case dice < 17 && s.rng.IntN(3) == 0 && s.mayGo(h):
			h.stop()
			h.gone = true
			s.after(time.Second, func() { s.forgetSomewhere(h.cfg.Self) })
		}
		s.disturb(until)
	})
}

// clone starts a copy of the host from an image of its disk, perhaps an old
// one. It meets someone, is told that its ID is in use, and stops, having
// exchanged tables.
func (h *simHost) clone() {
	if peer := h.peer(); peer != nil {
		twin := NewMachine(h.cfg, h.image)
		twin.Merge(peer.m.Table().Records())
		peer.do(peer.m.Merge(h.image))
	}
}

// leave hands the table to everyone who can be reached, then goes.
func (h *simHost) leave(release bool) {
	h.moving = true
	out := h.m.Leave(release)
	if out.Changed {
		h.disk = h.m.Table().unsortedRecords()
	}
	records := h.m.Table().Records()
	for _, other := range h.hosts {
		if other != h && h.reach(h, other) {
			other.do(other.m.Merge(records))
		}
	}
	h.stop()
}

// mayGo allows one host to be gone for good, as long as a mesh is left.
func (s *sim) mayGo(h *simHost) bool {
	holders := 0
	for _, other := range s.hosts {
		if other.gone {
			return false
		}
		if other != h && other.holds.IsValid() {
			holders++
		}
	}
	return holders >= 2
}

// forgetSomewhere is an operator who asks any host that knows of the other to
// forget it, and looks again later. If one holder is left, it and the lost host
// are two, and neither is a majority; if none is left, no host can agree. The
// operator then runs `forget --force` on every host.
func (s *sim) forgetSomewhere(id ID) {
	holders := 0
	for _, h := range s.hosts {
		if !h.gone && h.m != nil && h.holds.IsValid() {
			holders++
		}
	}
	for _, h := range s.hosts {
		switch {
		case h.m == nil || !h.m.active:
			continue
		case holders <= 1 && s.calm():
			h.do(h.m.Force(map[ID]bool{id: true}))
			continue
		}
		if out := h.m.Forget(id); out.Changed {
			h.do(out)
			break
		}
	}
	s.after(time.Second, func() { s.forgetSomewhere(id) })
}

// calm reports whether every host that is not lost runs and reaches all others.
func (s *sim) calm() bool {
	for _, h := range s.hosts {
		if !h.gone && (h.m == nil || h.group != 0) {
			return false
		}
	}
	return true
}

// A failure prints its seed, which is of use only if it is the same run again.
func TestOneSeedIsOneRun(t *testing.T) {
	for seed := range uint64(20) {
		a, errA := playSchedule(seed)
		b, errB := playSchedule(seed)
		if a.steps != b.steps || a.messages != b.messages || a.now != b.now || a.report() != b.report() || fmt.Sprint(errA) != fmt.Sprint(errB) {
			t.Errorf("seed %d: %d steps and %d messages, then %d and %d", seed, a.steps, a.messages, b.steps, b.messages)
		}
	}
}
