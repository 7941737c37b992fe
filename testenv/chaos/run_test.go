package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

var (
	faults  = flag.Int("faults", 0, "strikes of the chaos run; 0: none")
	seed    = flag.Uint64("seed", 1, "what their sequence is drawn from")
	gremesh = flag.String("gremesh", "", "the binary to run; empty: built with the race detector")
	tableTo = flag.String("table", "", "a file to write the table to")
)

const (
	hosts       = 5
	repairLimit = 5 * time.Second // from a fault's end to the end of the drift on all hosts
	patience    = time.Minute     // with a step that has failed
)

// TestChaos is the run. A step that fails does not end it, as long as the mesh
// is whole again in the end.
func TestChaos(t *testing.T) {
	if *faults == 0 {
		t.Skip("asked for with -faults N")
	}
	c := begin(t)
	steps := draw(*seed, *faults, testenv.Faults(true), c.lab.Hosts())
	began, struck := time.Now(), 0
	var before map[*testenv.Host]holdings
	for i, s := range steps {
		if before == nil && struck >= *faults-*faults/3 {
			before = c.holdings(t)
		}
		struck += len(s.strikes)
		t.Logf("step %d of %d, %s", i+1, len(steps), s)
		if err := c.take(t.Context(), s); err != nil {
			t.Errorf("SEED=%d FAULTS=%d, step %d: %v", *seed, *faults, i+1, err)
			if errors.Is(err, errLost) {
				break
			}
		}
	}
	t.Logf("%d faults in %d steps, %s, seed %d\n%s", struck, len(steps), time.Since(began).Round(time.Second), *seed, c.table)
	if *tableTo != "" {
		if err := os.WriteFile(*tableTo, []byte(c.table.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		return
	}
	// No two hosts have one subnet, and all tunnels are up.
	testenv.Eventually(t, patience, func() error { return c.lab.Ready(t.Context()) })
	noLeaks(t, before)
	c.noGoroutineLeaks(t)
}

// chaos is a mesh in which all is well but for the faults.
type chaos struct {
	lab    *testenv.Lab
	shapes testenv.Shapes
	guests map[*testenv.Host]string
	pings  *testenv.Pings
	table  table
}

func begin(t *testing.T) *chaos {
	t.Helper()
	ctx := t.Context()
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		t.Fatal(err)
	}
	l := testenv.Start(t, testenv.Config{Hosts: hosts, Docker: true, Binary: *gremesh})
	c := &chaos{lab: l, table: table{}, guests: map[*testenv.Host]string{}}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(l.Each(func(h *testenv.Host) error {
		return errors.Join(os.WriteFile(h.DaemonJSON(), []byte(foreignKeys), 0o644), h.RestartDocker(ctx))
	}))
	check(l.Form(map[string]any{"node.advertise": l.Host(1).UnderlayDevice()}))
	check(l.StartAgents(ctx))
	testenv.Eventually(t, 2*time.Minute, func() error { return l.Ready(ctx) })
	check(l.Each(func(h *testenv.Host) error {
		_, err := h.RunContainer(ctx, "c1", "--restart=always")
		return errors.Join(err, plant(ctx, h))
	}))
	for _, h := range l.Hosts() {
		text, err := guests(ctx, h)
		check(err)
		c.guests[h] = text
	}
	var err error
	c.shapes, err = l.Shapes(ctx)
	check(err)
	c.pings, err = l.Pings(ctx, "c1")
	check(err)
	t.Cleanup(c.pings.Close)
	return c
}

// errLost is a mesh that is not whole again though there was time enough.
var errLost = errors.New("not repaired")

// take lets the strikes of a step happen, waits until nothing is left of them,
// and enters into the table how long it took.
func (c *chaos) take(ctx context.Context, s step) error {
	c.pings.Mark()
	if err := c.strike(ctx, s); err != nil {
		return err
	}
	ended := time.Now()
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.lab.Repaired(limit, c.shapes); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	repair := time.Since(ended)
	if err := testenv.Until(limit, func() error { return c.pings.Answered(ended.Add(repair)) }); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	outage, pair := c.pings.Outage()
	c.table.add(s, repair, outage, pair)
	if repair > repairLimit {
		return fmt.Errorf("the drift was gone %s after the end of the fault, want %s", repair, repairLimit)
	}
	return c.checkGuests(ctx, s)
}

// strike breaks and ends what there is to break: hosts at once, on each of them
// in order.
func (c *chaos) strike(ctx context.Context, s step) error {
	each := func(act func(testenv.Strike) error) error {
		errs := make([]error, len(s.strikes))
		var wg sync.WaitGroup
		for _, h := range c.lab.Hosts() {
			wg.Go(func() {
				for i, strike := range s.strikes {
					if strike.Host == h {
						errs[i] = act(strike)
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	// Where several are at work, one may find broken what it is to break.
	if err := each(func(k testenv.Strike) error { return k.Break(ctx, k) }); err != nil && len(s.strikes) == 1 {
		return fmt.Errorf("break: %w", err)
	}
	if !slices.ContainsFunc(s.strikes, func(k testenv.Strike) bool { return k.End != nil }) {
		return nil
	}
	<-time.After(s.hold)     // how long the fault lasts
	if len(s.strikes) == 1 { // else another one may keep the agent from telling
		limit, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := s.strikes[0].Told(limit); err != nil {
			return fmt.Errorf("not reported: %w", err)
		}
	}
	return each(func(k testenv.Strike) error {
		if k.End == nil {
			return nil
		}
		return k.End(ctx, k)
	})
}

// checkGuests looks after what others have on the hosts of a step. A fault may
// have taken it away: then it is put back.
func (c *chaos) checkGuests(ctx context.Context, s step) error {
	var errs []error
	for _, h := range c.lab.Hosts() {
		here := func(k testenv.Strike) bool { return k.Host == h }
		if !slices.ContainsFunc(s.strikes, here) {
			continue
		}
		if slices.ContainsFunc(s.strikes, func(k testenv.Strike) bool { return here(k) && k.Takes }) {
			errs = append(errs, plant(ctx, h))
		}
		if is, err := guests(ctx, h); err != nil || is != c.guests[h] {
			errs = append(errs, fmt.Errorf("%s: %w: %w: it was\n%sand is\n%s", h.Name, errTouched, err, c.guests[h], is))
		}
	}
	return errors.Join(errs...)
}

func (c *chaos) holdings(t *testing.T) map[*testenv.Host]holdings {
	t.Helper()
	all := map[*testenv.Host]holdings{}
	for _, h := range c.lab.Hosts() {
		var err error
		if all[h], err = holdingsOf(h); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// noGoroutineLeaks holds the goroutines of the agents that went through it all
// against those of agents that have just met. It ends them.
func (c *chaos) noGoroutineLeaks(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	old, err := goroutines(ctx, c.lab)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.lab.StartAgents(ctx); err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.lab.Repaired(limit, c.shapes); err != nil {
		t.Fatal(err)
	}
	young, err := goroutines(ctx, c.lab)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range c.lab.Hosts() {
		t.Logf("%s: %d goroutines in the end, %d after a start", h.Name, old[h], young[h])
		if old[h] > young[h]+goroutineSlack {
			t.Errorf("%s: goroutines were %d after a start, and %d in the end", h.Name, young[h], old[h])
		}
	}
}
