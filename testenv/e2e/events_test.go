package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/events"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/testenv"
)

// TestEvents breaks a mesh of two hosts, and reads in the log and in the history
// of both what broke and for how long.
func TestEvents(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 2}, nil)
	inTurn(t, l,
		behaviour{"the mesh has formed", formedInFewLines},
		behaviour{"no GRE passes for a while", outageHasItsDuration},
		behaviour{"an agent is away", absenceHasItsDuration},
		behaviour{"a restart is no event", restartIsSilent},
	)
}

// eventsOf returns the events of a kind on a host since a time.
func eventsOf(t *testing.T, h *testenv.Host, kind events.Kind, since time.Time) []journal.Change {
	t.Helper()
	var found []journal.Change
	for _, c := range recent(t, h, since) {
		if c.Event == string(kind) {
			found = append(found, c)
		}
	}
	return found
}

func formedInFewLines(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			if n := len(eventsOf(t, h, events.TunnelDown, time.Time{})); n > 0 {
				return fmt.Errorf("%s: %d tunnels went down while the mesh formed", h.Name, n)
			}
			return nil
		})
	}
	testenv.Eventually(t, soon, func() error { return logs(l.Host(1), `"msg":"peer joined"`, `"peer":"h2"`) })
}

func outageHasItsDuration(t *testing.T, l *testenv.Lab) {
	ctx, began := t.Context(), time.Now()
	h1, h2 := l.Host(1), l.Host(2)
	must(t, l.Filter(ctx, h1, h2, "gre"))
	must(t, l.Filter(ctx, h2, h1, "gre"))
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return happened(t, h, events.TunnelDown, began, 1) })
		testenv.Eventually(t, soon, func() error { return happened(t, h, events.ProblemAppears, began, 1) })
		testenv.Eventually(t, soon, func() error { return problem(ctx, h, "GRE") })
	}
	must(t, l.Heal(ctx))
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return happened(t, h, events.TunnelUp, began, 1) })
		testenv.Eventually(t, soon, func() error { return happened(t, h, events.ProblemCleared, began, 1) })
		down, up := eventsOf(t, h, events.TunnelDown, began)[0], eventsOf(t, h, events.TunnelUp, began)[0]
		if lasted := up.Time.Sub(down.Time).Seconds(); up.After < lasted-0.5 || up.After > lasted+0.5 {
			t.Errorf("%s: down at %s, up at %s, but after_seconds is %g", h.Name, down.Time, up.Time, up.After)
		}
		must(t, logs(h, `"msg":"tunnel up"`, `"after":"`))
		must(t, happened(t, h, events.TunnelDown, began, 1))
		if out, err := h.Gremesh(ctx, "history"); err != nil || !strings.Contains(out, "down for ") {
			t.Errorf("%s: the history does not show the outage: %v\n%s", h.Name, err, out)
		}
	}
}

func absenceHasItsDuration(t *testing.T, l *testenv.Lab) {
	ctx, began := t.Context(), time.Now()
	h1, h2 := l.Host(1), l.Host(2)
	must(t, h2.KillAgent(ctx))
	testenv.Eventually(t, soon, func() error { return happened(t, h1, events.PeerFailed, began, 1) })
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return happened(t, h1, events.PeerReturned, began, 1) })
	must(t, logs(h1, `"msg":"peer returned"`, `"after":"`))
	whole(t, l)
}

// restartIsSilent restarts an agent of a mesh in order, and waits for longer than
// peers and tunnels have to be found as they were.
func restartIsSilent(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	began := time.Now()
	must(t, h2.KillAgent(ctx))
	must(t, h2.StartAgent(ctx))
	whole(t, l)
	watch, stop := context.WithTimeout(ctx, 17*time.Second)
	defer stop()
	err := testenv.Until(watch, func() error {
		for _, c := range recent(t, h2, began) {
			if c.Event != "" && !ofTheKernel(mesh.Problem{What: c.Is}, lacks) {
				t.Fatalf("%s: an event of a restart: %+v", h2.Name, c)
			}
		}
		return fmt.Errorf("nothing has happened yet")
	})
	if err == nil || ctx.Err() != nil {
		t.Errorf("the watch ended early: %v", err)
	}
}

// happened tells that there were events of a kind, and no more.
func happened(t *testing.T, h *testenv.Host, kind events.Kind, since time.Time, times int) error {
	t.Helper()
	if got := eventsOf(t, h, kind, since); len(got) != times {
		return fmt.Errorf("%s: %d events of kind %s, want %d: %+v", h.Name, len(got), kind, times, recent(t, h, since))
	}
	return nil
}
