package reconcile

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPassAppliesInOrderAndObservesAgain(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}, "b": {"y": "2"}}), b, a))
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe a", "apply a x=1", "observe a", "observe b", "apply b y=2", "observe b")
	for _, c := range e.Last().Components {
		if !c.Settled() || len(c.Applied) != 1 {
			t.Errorf("%s: %+v, want settled after one change", c.Name, c.Result)
		}
	}
	e.Reconcile(t.Context())
	wantCalls(t, m) // all is known to be in order
}

func TestDependentsAreObservedAgainAfterAChange(t *testing.T) {
	m := newMachine()
	a, b, c := newFake(m, "a"), newFake(m, "b", "a"), newFake(m, "c")
	src := newSource(wish{"a": {"x": "1"}})
	e := newEngine(t, options(t, m, src, a, b, c))
	e.Reconcile(t.Context())
	m.taken()
	src.set(&wish{"a": {"x": "2"}})
	e.Reconcile(t.Context())
	wantCalls(t, m, "apply a x=2", "observe a", "observe b")
}

func TestAPlanSeesResultsOfItsUpstream(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	a.plan = func(_ Request[wish], _ map[string]string, p *Plan) { p.Pending = "a daemon is starting" }
	var saw Result
	b.plan = func(req Request[wish], _ map[string]string, _ *Plan) { saw = req.Upstream["a"] }
	e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), a, b))
	e.Reconcile(t.Context())
	if saw.Plan.Pending != "a daemon is starting" || len(saw.Applied) != 1 || saw.Settled() {
		t.Errorf("b saw %+v of a", saw)
	}
}

// br0 must exist before it can be attached to docker0.
func TestAChangeWaitsForOneOfItsUpstream(t *testing.T) {
	m := newMachine()
	ovs, kernel := newFake(m, "ovs"), newFake(m, "kernel", "ovs")
	bridge := ovs.key("bridge")
	kernel.plan = func(_ Request[wish], _ map[string]string, p *Plan) {
		for i := range p.Changes {
			if p.Changes[i].Key.Name == "master" {
				p.Changes[i].Needs = []Key{bridge}
			}
		}
	}
	e := newEngine(t, options(t, m, newSource(wish{"ovs": {"bridge": "br0"}, "kernel": {"master": "docker0", "route": "1"}}), ovs, kernel))
	for range contendedAfter {
		e.contention.applied(time.Now(), []Change{{Key: bridge, To: "br0"}})
	}
	e.Reconcile(t.Context())
	if got := m.get("kernel"); got["master"] != "" || got["route"] != "1" {
		t.Errorf("without the bridge, the kernel has %v", got)
	}
	if r := e.Last().Result("kernel"); r.Deferred != 1 || r.Settled() {
		t.Errorf("the result is %+v", r)
	}
	m.set("ovs", "bridge", "br0")
	ovs.notify(e)
	e.Reconcile(t.Context())
	if got := m.get("kernel"); got["master"] != "docker0" {
		t.Errorf("with the bridge, the kernel has %v", got)
	}
}

func TestAHaltKeepsDependentsFromRunning(t *testing.T) {
	m := newMachine()
	guard, a, b, other := newFake(m, "guard"), newFake(m, "a", "guard"), newFake(m, "b", "a"), newFake(m, "other")
	halt := true
	guard.plan = func(_ Request[wish], _ map[string]string, p *Plan) {
		if p.Halt = halt; halt {
			p.Problems = []Problem{{Code: "GM-LOOP"}}
		}
	}
	e := newEngine(t, options(t, m, newSource(wish{"b": {"x": "1"}, "other": {"x": "1"}}), guard, a, b, other))
	for range 2 {
		e.Reconcile(t.Context())
	}
	wantCalls(t, m, "observe guard", "observe other", "apply other x=1", "observe other")
	if r := e.Last().Result("b"); r.Halted != "guard" || r.Settled() {
		t.Errorf("b: %+v, want it halted by guard", r)
	}
	halt = false
	guard.notify(e)
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe guard", "observe a", "observe b", "apply b x=1", "observe b")
	if problems := e.Last().Problems; len(problems) != 0 {
		t.Errorf("problems are left: %+v", problems)
	}
}

// notify marks a component as Watch would.
func (f *fake) notify(e *Engine[wish]) {
	for _, u := range e.units {
		if u.name == f.name {
			u.notified.Store(true)
		}
	}
}

func TestWithoutADesiredStateNothingIsChanged(t *testing.T) {
	m := newMachine()
	src := newSource(nil)
	src.desired, src.problems = nil, []Problem{{Code: "GM-LEASE-WAITING"}}
	e := newEngine(t, options(t, m, src, newFake(m, "a")))
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe a")
	if got := codes(e.Last().Problems); !slices.Equal(got, []string{"GM-LEASE-WAITING"}) {
		t.Errorf("the problems are %q", got)
	}
	src.set(&wish{"a": {"x": "1"}})
	e.Reconcile(t.Context())
	wantCalls(t, m, "apply a x=1", "observe a")
}

func TestAChangeThatMakesAnotherOnePossibleIsFollowedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		a.plan = func(_ Request[wish], have map[string]string, p *Plan) {
			if have["bridge"] == "" { // the port needs it
				p.Changes = slices.DeleteFunc(p.Changes, func(c Change) bool { return c.Key.Name == "port" })
			}
		}
		start(t, newEngine(t, options(t, m, newSource(wish{"a": {"bridge": "br0", "port": "gre1"}}), a)))
		time.Sleep(time.Second)
		if got := m.get("a"); got["port"] != "gre1" {
			t.Errorf("after a second: %v", got)
		}
	})
}

func TestPlanRecheckObservesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a := newFake(m, "a")
		a.plan = func(_ Request[wish], have map[string]string, p *Plan) {
			if have["daemon"] == "" {
				p.Pending, p.Recheck = "the daemon is starting", 500*time.Millisecond
			}
		}
		e := newEngine(t, options(t, m, newSource(wish{"a": {"daemon": "up"}}), a))
		a.plan = func(_ Request[wish], have map[string]string, p *Plan) {
			p.Changes = nil
			if have["daemon"] == "" {
				p.Pending, p.Recheck = "the daemon is starting", 500*time.Millisecond
			}
		}
		start(t, e)
		time.Sleep(100 * time.Millisecond)
		m.set("a", "daemon", "up") // nothing tells of it
		time.Sleep(time.Second)
		if r := e.Last().Result("a"); r.Plan.Pending != "" {
			t.Errorf("a second later: %+v", r)
		}
	})
}

func TestAHangingComponentHasATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		a, b := newFake(m, "a"), newFake(m, "b", "a")
		a.wait = func(ctx context.Context) { <-ctx.Done() }
		e := newEngine(t, options(t, m, newSource(wish{"b": {"x": "1"}}), a, b))
		began := time.Now()
		e.Reconcile(t.Context())
		if took := time.Since(began); took != defaultTimeout {
			t.Errorf("the pass took %s", took)
		}
		if m.get("b")["x"] != "1" {
			t.Error("b, which runs after a, was not applied")
		}
		if got := codes(e.Last().Problems); !slices.Equal(got, []string{"GM-A-FAILED"}) {
			t.Errorf("the problems are %q", got)
		}
	})
}

// Docker must not be restarted while ovs-vswitchd is dead, which Apply of Open
// vSwitch notices as well.
func TestDependentsSeeWhatWasObservedBeforeAFailedApply(t *testing.T) {
	synctest.Test(t, dependentsSeeWhatWasObserved)
}

func dependentsSeeWhatWasObserved(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	m.set("a", "daemon", "dead")
	a.refuses = errors.New("the daemon has not applied it")
	a.plan = func(_ Request[wish], _ map[string]string, p *Plan) { p.Problems = []Problem{{Code: "GM-DEAD"}} }
	var saw Result
	b.plan = func(req Request[wish], _ map[string]string, _ *Plan) { saw = req.Upstream["a"] }
	e := newEngine(t, options(t, m, newSource(wish{"a": {"daemon": "dead", "x": "1"}}), a, b))
	e.Reconcile(t.Context())
	if have, _ := saw.State.(map[string]string); have["daemon"] != "dead" || have["x"] != "" {
		t.Errorf("b saw the state %v", saw.State)
	}
	var applying *ApplyError
	if !errors.As(saw.Err, &applying) || saw.Settled() || len(saw.Plan.Changes) != 1 || !slices.Equal(codes(saw.Plan.Problems), []string{"GM-DEAD"}) {
		t.Errorf("b saw %+v", saw)
	}
	if got := codes(e.Last().Problems); !slices.Equal(got, []string{"GM-A-FAILED", "GM-DEAD"}) {
		t.Errorf("the problems are %q: what explains a failure is reported with it", got)
	}
	a.refuses = nil
	a.fail(errors.New("the daemon does not answer"))
	e.Notify("a")
	time.Sleep(2 * firstBackoff) // of the test's clock
	e.Reconcile(t.Context())
	if got := codes(e.Last().Problems); slices.Contains(got, "GM-DEAD") {
		t.Errorf("the problems are %q: nobody knows whether the old one is still there", got)
	}
}

func TestAfterAPreemptedPassTheLaterComponentsRun(t *testing.T) {
	m := newMachine()
	opts := options(t, m, newSource(wish{"a": {"x": "1"}}), newFake(m, "a"), newFake(m, "b", "a"))
	preempts := false
	opts.Preempt = func(component string) bool { return preempts && component == "a" }
	e := newEngine(t, opts)
	e.Reconcile(t.Context())
	m.taken()
	m.set("a", "x", "2")
	e.Notify("a")
	preempts = true
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe a", "apply a x=1", "observe a")
	preempts = false
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe b")
	e.Reconcile(t.Context())
	wantCalls(t, m)
}
