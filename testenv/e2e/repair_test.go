package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

const (
	repairLimit = 2 * time.Second  // from the cause to the end of the drift
	returnLimit = 10 * time.Second // from the end of a fault that takes a daemon away to the end of the drift
	outageLimit = 30 * time.Second // of any pair: generous, it is printed
)

// TestRepair has everything go wrong that the catalogue knows, one fault after
// the other, while containers ping each other.
func TestRepair(t *testing.T) {
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
	shapes, err := l.Shapes(ctx)
	must(t, err)
	pings, err := l.Pings(ctx, "c1")
	must(t, err)
	t.Cleanup(pings.Close)
	for i, fault := range testenv.Faults(true) {
		strike := testenv.Strike{Fault: fault, Host: l.Host(1 + (i+1)%3), Moment: time.Duration(i*10) * time.Millisecond}
		if !t.Run(fault.Name, func(t *testing.T) { repaired(t, l, pings, shapes, strike) }) {
			return
		}
	}
}

// repaired lets a fault happen and measures what comes of it.
func repaired(t *testing.T, l *testenv.Lab, pings *testenv.Pings, shapes testenv.Shapes, strike testenv.Strike) {
	ctx := t.Context()
	pings.Mark()
	logged := changesOf(t, l)
	limit := repairLimit
	must(t, strike.Break(ctx, strike))
	if strike.End != nil {
		<-time.After(time.Second) // the fault lasts
		must(t, strike.End(ctx, strike))
		limit = returnLimit
	}
	ended := time.Now()
	testenv.Eventually(t, soon, func() error { return l.Drift(ctx, shapes) })
	took := time.Since(ended)
	whole := time.Now()
	testenv.Eventually(t, soon, func() error { return pings.Answered(whole) })
	outage, pair := pings.Outage()
	t.Logf("%s: drift gone after %.2f s, outage %.2f s (%s to %s)", strike.Name, took.Seconds(), outage.Seconds(), pair.From, pair.To)
	for h, lines := range changesOf(t, l) {
		for _, line := range lines[len(logged[h]):] {
			t.Log(h.Name, line)
		}
	}
	if took > limit {
		t.Errorf("drift was gone after %s, want %s", took, limit)
	}
	if outage > outageLimit {
		t.Errorf("%s and %s did not reach each other for %s", pair.From, pair.To, outage)
	}
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
