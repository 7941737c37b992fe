package chaos

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// step is what goes wrong at once, and for how long.
type step struct {
	strikes []testenv.Strike
	hold    time.Duration
}

const (
	atOnce  = 3 // strikes of a step, at the most
	maxHold = 2 * time.Second
	choices = 300 // of a Strike's Moment, in ms
)

// draw draws a sequence with so many strikes. In its last third nothing ends an
// agent, so that what an agent leaks adds up.
func draw(seed uint64, strikes int, faults []testenv.Fault, hosts []*testenv.Host) []step {
	r := rand.New(rand.NewPCG(seed, 0))
	var steps []step
	for left := strikes; left > 0; {
		from := faults
		if left <= strikes/3 {
			from = slices.DeleteFunc(slices.Clone(faults), func(f testenv.Fault) bool { return f.Uses&testenv.Agent != 0 })
		}
		s := step{hold: time.Duration(r.Int64N(int64(maxHold)))}
		for range min(left, 1+r.IntN(atOnce)) {
			strike := testenv.Strike{
				Fault: from[r.IntN(len(from))], Host: hosts[r.IntN(len(hosts))],
				Moment: time.Duration(r.IntN(choices)) * time.Millisecond,
			}
			if !slices.ContainsFunc(s.strikes, strike.Clashes) {
				s.strikes = append(s.strikes, strike)
			}
		}
		left -= len(s.strikes)
		steps = append(steps, s)
	}
	return steps
}

func TestOneSeedIsOneSequence(t *testing.T) {
	hosts := []*testenv.Host{{Name: "h1"}, {Name: "h2"}, {Name: "h3"}}
	faults := testenv.Faults(true)
	first, again, other := draw(1, 1000, faults, hosts), draw(1, 1000, faults, hosts), draw(2, 1000, faults, hosts)
	if describe(first) != describe(again) {
		t.Error("the same seed made two sequences")
	}
	if describe(first) == describe(other) {
		t.Error("two seeds made the same sequence")
	}
	drawn := map[string]int{}
	total := 0
	for _, s := range first {
		for i, strike := range s.strikes {
			drawn[strike.Name]++
			total++
			if slices.ContainsFunc(s.strikes[:i], strike.Clashes) {
				t.Errorf("at once: %s", s)
			}
		}
	}
	if total != 1000 || len(drawn) != len(faults) {
		t.Errorf("drawn were %d strikes, want 1000, of %d faults, want %d", total, len(drawn), len(faults))
	}
}

func describe(steps []step) (all string) {
	for _, s := range steps {
		all += s.String() + "\n"
	}
	return all
}

func (s step) String() string {
	text := ""
	for _, strike := range s.strikes {
		text += strike.Host.Name + ": " + strike.Name + " (" + strike.Moment.String() + "); "
	}
	return text + "for " + s.hold.Round(time.Millisecond).String()
}
