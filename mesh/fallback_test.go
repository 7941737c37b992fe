package mesh

import (
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// path is a network between two hosts that lets some types pass.
type path map[string]bool

// run lets time pass, a second at a time, with a port that is made at once and
// comes up a second later where the path lets it. It returns what was decided
// each second.
func (f *fallbacks) run(start time.Time, seconds int, p path, have string) (types []string) {
	peer := testHost(2)
	peer.Silent = "any"
	madeAt := start
	for s := range seconds {
		now := start.Add(time.Duration(s) * time.Second)
		up := p[have] && now.Sub(madeAt) >= time.Second
		decided, _ := f.decide(now, testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: {Type: have, Made: true, Up: up}})
		if decided[peer.ID] != have {
			have, madeAt = decided[peer.ID], now
		}
		types = append(types, have)
	}
	return types
}

func count(types []string, of string) (n int) {
	for _, t := range types {
		if t == of {
			n++
		}
	}
	return n
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// movable is a mesh whose pairs may have other types than GRE.
func movable(fallback ...string) TunnelConfig {
	return TunnelConfig{Type: "gre", Fallback: fallback, Retry: time.Hour}
}

func TestAPairMovesToTheNextTypeAfterTenSecondsAndStays(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	types := f.run(start, 3000, path{"vxlan": true}, "gre")
	if types[9] != "gre" || types[11] != "vxlan" || count(types, "gre") > 11 {
		t.Errorf("second 9: %s, second 11: %s, %d s on gre", types[9], types[11], count(types, "gre"))
	}
}

func TestTheFirstTypeIsTriedOnceAnHour(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	types := f.run(start, 5*3600, path{"vxlan": true}, "gre")
	if gre := count(types, "gre") - 10; gre < 4*3 || gre > 5*5 {
		t.Errorf("gre was tried for %d s in five hours, want 3 s in each", gre)
	}
}

func TestAPathThatIsOpenedIsUsedWithinTheHour(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	f.run(start, 60, path{"vxlan": true}, "gre")
	types := f.run(start.Add(time.Minute), 3700, path{"vxlan": true, "gre": true}, "vxlan")
	if last := types[len(types)-1]; last != "gre" || count(types, "vxlan") > 3600 {
		t.Errorf("it ends with %s, after %d s on vxlan", last, count(types, "vxlan"))
	}
}

func TestWhereNothingPassesTheTypesAreNotTriedForEver(t *testing.T) {
	f := newFallbacks(movable("vxlan", "geneve"))
	types := f.run(start, 3600, path{}, "gre")
	moves := 0
	for i := 1; i < len(types); i++ {
		if types[i] != types[i-1] {
			moves++
		}
	}
	if moves > 40 || moves < 9 {
		t.Errorf("%d moves in an hour", moves)
	}
}

func TestAfterAStartThePortThatIsThereSays(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	if types := f.run(start, 60, path{"vxlan": true}, "vxlan"); count(types, "vxlan") != 60 {
		t.Errorf("moved: %v", types)
	}
}

func TestOnlyTheLowerIDDecides(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	lower := testHost(1)
	decided, _ := f.decide(start, testHost(2).ID, []Host{lower}, nil)
	if len(decided) != 0 {
		t.Errorf("decided %v", decided)
	}
}

func TestAPairThatIsSilentForAnotherReasonDoesNotMove(t *testing.T) {
	for name, spoil := range map[string]func(*Host, *sight){
		"the peer failed":              func(h *Host, _ *sight) { h.Liveness = Failed },
		"the peer has no port that is": func(h *Host, _ *sight) { h.Silent = "" },
		"the port is not set up here":  func(_ *Host, s *sight) { s.Made = false },
		"there is no port here":        func(_ *Host, s *sight) { *s = sight{} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFallbacks(movable("vxlan"))
			peer, s := testHost(2), sight{Type: "gre", Made: true}
			peer.Silent = "gre"
			spoil(&peer, &s)
			for second := range 60 {
				now := start.Add(time.Duration(second) * time.Second)
				decided, again := f.decide(now, testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: s})
				if decided[peer.ID] != "gre" || !again.IsZero() && !again.After(now) {
					t.Fatalf("second %d: %v, again at %s", second, decided, again)
				}
			}
		})
	}
}

func TestATrialEndsEvenIfThePeerFallsSilentOrThePortCanNotBeMade(t *testing.T) {
	for name, s := range map[string]sight{
		"silent":   {Type: "gre", Made: true},
		"not made": {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFallbacks(movable("vxlan"))
			peer := testHost(2)
			id, now := peer.ID, start
			at := func(s sight) (string, time.Time) {
				types, again := f.decide(now, testHost(1).ID, []Host{peer}, map[lease.ID]sight{id: s})
				return types[id], again
			}
			up := sight{Type: "vxlan", Made: true, Up: true}
			_, again := at(up)
			now = again
			if kind, _ := at(up); kind != "gre" {
				t.Fatalf("no trial at the time that was told, but %s", kind)
			}
			peer.Liveness = Failed
			now = now.Add(2 * time.Second)
			if kind, again := at(s); kind != "gre" || !again.Equal(now.Add(time.Second)) {
				t.Errorf("after 2 s: %s, again in %s", kind, again.Sub(now))
			}
			now = now.Add(time.Second)
			if kind, _ := at(s); kind != "vxlan" {
				t.Errorf("after 3 s: %s", kind)
			}
		})
	}
}

func TestTheTypesOfAPathThatFlapsAreNotTriedForEver(t *testing.T) {
	f := newFallbacks(movable("vxlan"))
	peer := testHost(2)
	peer.Silent = "any"
	have, madeAt, moves := "gre", start, 0
	for second := range 3600 {
		now := start.Add(time.Duration(second) * time.Second)
		age := now.Sub(madeAt) // each type comes up for five seconds
		s := sight{Type: have, Made: true, Up: age >= time.Second && age < 6*time.Second}
		if decided, _ := f.decide(now, testHost(1).ID, []Host{peer}, map[lease.ID]sight{peer.ID: s}); decided[peer.ID] != have {
			have, madeAt = decided[peer.ID], now
			moves++
		}
	}
	if moves > 40 {
		t.Errorf("%d moves in an hour", moves)
	}
}
