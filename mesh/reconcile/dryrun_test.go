package reconcile

import (
	"errors"
	"testing"
)

func TestADryRunPlansAndChangesNothing(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	b.plan = func(req Request[wish], _ map[string]string, p *Plan) {
		if len(req.Upstream["a"].Plan.Changes) > 0 { // as if the device of a existed
			p.Problems = []Problem{{Code: "GM-SAW-CHANGES"}}
		}
	}
	e := newEngine(t, options(t, m, newSource(wish{}), a, b))
	report := e.DryRun(t.Context(), &wish{"a": {"x": "1"}, "b": {"y": "1"}})
	wantCalls(t, m, "observe a", "observe b")
	if n := len(report.Result("a").Plan.Changes) + len(report.Result("b").Plan.Changes); n != 2 {
		t.Errorf("%d changes are planned, want 2: %+v", n, report)
	}
	if len(report.Problems) != 1 {
		t.Errorf("b has not seen the plan of a: %+v", report.Problems)
	}
	if last := e.Last(); len(last.Components) > 0 {
		t.Errorf("the last pass is now %+v", last)
	}
}

func TestADryRunSaysWhatItCouldNotObserve(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	a.fail(errors.New("no connection"))
	e := newEngine(t, options(t, m, newSource(wish{}), a, b))
	report := e.DryRun(t.Context(), &wish{"b": {"y": "1"}})
	if report.Result("a").Err == nil || len(report.Problems) != 1 || len(report.Result("b").Plan.Changes) != 1 {
		t.Errorf("the report is %+v", report)
	}
}

func TestADryRunStopsAtAHalt(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	a.plan = func(_ Request[wish], _ map[string]string, p *Plan) { p.Halt = true }
	e := newEngine(t, options(t, m, newSource(wish{}), a, b))
	if r := e.DryRun(t.Context(), &wish{"b": {"y": "1"}}).Result("b"); r.Halted != "a" || len(r.Plan.Changes) > 0 {
		t.Errorf("b: %+v", r)
	}
}

func TestADryRunOfARestoreShowsTheWayBack(t *testing.T) {
	m := newMachine()
	m.set("a", "x", "before")
	e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), &restorer{fake: newFake(m, "a")}))
	e.Reconcile(t.Context())
	report, err := e.DryRunRestore(t.Context())
	if changes := report.Result("a").Plan.Changes; err != nil || len(changes) != 1 || changes[0].From != "1" || changes[0].To != "before" {
		t.Errorf("planned: %+v, %v", changes, err)
	}
	if m.get("a")["x"] != "1" {
		t.Error("the dry run has changed something")
	}
}
