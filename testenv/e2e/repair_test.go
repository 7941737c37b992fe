package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

const (
	repairLimit = 2 * time.Second  // from the cause to the end of the drift
	outageLimit = 30 * time.Second // of any pair: generous, it is printed
	tries       = 3                // one of them is to keep the limit: the machine has other work
)

// TestRepair has everything go wrong that the catalogue knows, one fault after
// the other, while containers ping each other.
func TestRepair(t *testing.T) {
	r := startRepair(t)
	for i, fault := range testenv.Faults(true) {
		strike := testenv.Strike{Fault: fault, Host: r.lab.Host(1 + (i+1)%3), Moment: time.Duration(i*10) * time.Millisecond}
		if !t.Run(fault.Name, func(t *testing.T) { r.keepsTheLimit(t, strike) }) {
			return
		}
	}
	inTurn(t, r.lab,
		behaviour{"a storm of changes", func(t *testing.T, _ *testenv.Lab) { r.storm(t) }},
		behaviour{"agents are away", func(t *testing.T, _ *testenv.Lab) { r.away(t) }},
	)
}

// repair is what tells that a lab is as it was.
type repair struct {
	lab    *testenv.Lab
	shapes testenv.Shapes
	pings  *testenv.Pings
}

// startRepair makes a mesh with containers that ping each other.
func startRepair(t *testing.T) repair {
	t.Helper()
	l := start(t, testenv.Config{Hosts: 3, Docker: true})
	ctx := t.Context()
	must(t, l.Form(map[string]any{"node.advertise": l.Host(1).UnderlayDevice()}))
	must(t, l.StartAgents(ctx))
	whole(t, l)
	noRaces(t, l)
	must(t, l.Each(func(h *testenv.Host) error {
		_, err := h.RunContainer(ctx, "c1", "--restart=always")
		return err
	}))
	r := repair{lab: l}
	var err error
	r.shapes, err = l.Shapes(ctx)
	must(t, err)
	r.pings, err = l.Pings(ctx, "c1")
	must(t, err)
	t.Cleanup(r.pings.Close)
	return r
}

// keepsTheLimit lets a fault happen. The limit is for what the agent alone has
// to mend; a daemon that comes back takes time of its own.
func (r repair) keepsTheLimit(t *testing.T, strike testenv.Strike) {
	var took time.Duration
	for range tries {
		if took = r.of(t, strike); took <= testenv.Patience(repairLimit) || strike.End != nil || strike.Uses&testenv.Docker != 0 {
			return
		}
	}
	t.Errorf("drift was gone after %s, want %s, in each of %d tries", took, repairLimit, tries)
}

// whole waits until the lab is as it was.
func (r repair) whole(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience(soon))
	defer cancel()
	must(t, r.lab.Repaired(ctx, r.shapes))
}

// of lets a fault happen, and measures how long its drift lasts after it.
func (r repair) of(t *testing.T, strike testenv.Strike) time.Duration {
	t.Helper()
	ctx := t.Context()
	r.pings.Mark()
	logged := changesOf(t, r.lab)
	must(t, strike.Break(ctx, strike))
	if strike.End != nil {
		<-time.After(time.Second) // how long the fault lasts
		told, cancel := context.WithTimeout(ctx, testenv.Patience(soon))
		defer cancel()
		must(t, strike.Told(told))
		must(t, strike.End(ctx, strike))
	}
	ended := time.Now()
	r.whole(t)
	took := time.Since(ended)
	testenv.Eventually(t, soon, func() error { return r.pings.Answered(ended.Add(took)) })
	outage, pair := r.pings.Outage()
	t.Logf("%s: drift gone after %.2f s, outage %.2f s (%s to %s)", strike.Name, took.Seconds(), outage.Seconds(), pair.From, pair.To)
	for h, lines := range changesOf(t, r.lab) {
		for _, line := range lines[len(logged[h]):] {
			t.Log(h.Name, line)
			if !strings.Contains(line, `"cause":"`) || strings.Contains(line, `"cause":""`) {
				t.Errorf("%s changed something without a cause: %s", h.Name, line)
			}
		}
	}
	if outage > testenv.Patience(outageLimit) {
		t.Errorf("%s and %s did not reach each other for %s", pair.From, pair.To, outage)
	}
	return took
}

// changesOf are the lines of each agent's log that say what was changed.
func changesOf(t *testing.T, l *testenv.Lab) map[*testenv.Host][]string {
	t.Helper()
	all := map[*testenv.Host][]string{}
	for _, h := range l.Hosts() {
		text, err := h.AgentLog()
		must(t, err)
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"msg":"changed"`) {
				all[h] = append(all[h], strings.TrimSpace(line))
			}
		}
	}
	return all
}
