package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// restorer is a component that puts back the values of before.
type restorer struct {
	*fake
	broken bool // Apply fails halfway
}

func (r *restorer) Original(s State) (json.RawMessage, error) {
	r.machine.called("capture %s", r.name)
	return json.Marshal(s)
}

func (r *restorer) Restore(req Request[wish], original json.RawMessage, s State) Plan {
	want := make(map[string]string)
	if original != nil {
		if err := json.Unmarshal(original, &want); err != nil {
			return Plan{Problems: []Problem{{Code: "GM-ORIGINAL-UNREADABLE", Summary: err.Error()}}}
		}
	}
	plan := Plan{Changes: r.diff(want, s.(map[string]string))}
	if r.plan != nil {
		r.plan(req, s.(map[string]string), &plan)
	}
	return plan
}

func (r *restorer) Apply(ctx context.Context, changes []Change) error {
	if r.broken {
		return errors.Join(r.fake.Apply(ctx, changes[:1]), errors.New("interrupted"))
	}
	return r.fake.Apply(ctx, changes)
}

func TestOriginalsAreSavedBeforeAnyComponentAppliesAnything(t *testing.T) {
	m := newMachine()
	m.set("b", "address", "172.17.0.1")
	a, b := &restorer{fake: newFake(m, "a")}, &restorer{fake: newFake(m, "b", "a")}
	opts := options(t, m, newSource(wish{"a": {"x": "1"}, "b": {"address": "172.17.43.1"}}), a, b)
	e := newEngine(t, opts)
	e.Reconcile(t.Context())
	wantCalls(t, m, "observe a", "capture a", "observe b", "capture b", "save [a b]",
		"observe a", "apply a x=1", "observe a", "observe b", "apply b address=172.17.43.1", "observe b")

	again := newEngine(t, opts) // after a restart, the machine is no original any more
	again.Reconcile(t.Context())
	wantCalls(t, m, "observe a", "observe b")
	if got := string(opts.Originals.(*originals).saved["b"]); got != `{"address":"172.17.0.1"}` {
		t.Errorf("the original of b is %s", got)
	}
}

func TestWithoutOriginalsNothingIsChanged(t *testing.T) {
	m := newMachine()
	a, b := &restorer{fake: newFake(m, "a")}, &restorer{fake: newFake(m, "b")}
	b.fail(errors.New("no connection"))
	e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}}), a, b))
	e.Reconcile(t.Context())
	if calls := m.taken(); applied(calls) > 0 {
		t.Errorf("the calls were %q", calls)
	}
	if got := codes(e.Last().Problems); !slices.Contains(got, "GM-ORIGINAL-FAILED") {
		t.Errorf("the problems are %q", got)
	}
	b.fail(nil)
	b.notify(e)
	e.Reconcile(t.Context())
	if m.get("a")["x"] != "1" {
		t.Error("a was not applied when all originals were there")
	}
}

func TestRemoveDeletesDependentsFirst(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	e := newEngine(t, options(t, m, newSource(wish{"a": {"x": "1"}, "b": {"y": "1"}}), a, b))
	e.Reconcile(t.Context())
	m.taken()
	if err := e.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls := slices.DeleteFunc(m.taken(), func(c string) bool { return strings.HasPrefix(c, "observe") })
	if want := []string{"apply b y=", "apply a x="}; !slices.Equal(calls, want) {
		t.Errorf("the changes were %q, want %q", calls, want)
	}
}

func TestRemoveGoesOnAfterAFailure(t *testing.T) {
	m := newMachine()
	a, b := newFake(m, "a"), newFake(m, "b", "a")
	m.set("a", "x", "1")
	b.fail(errors.New("no connection"))
	e := newEngine(t, options(t, m, newSource(wish{}), a, b))
	if err := e.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("the error is %v", err)
	}
	if len(m.get("a")) > 0 {
		t.Errorf("a still has %v", m.get("a"))
	}
}

// docker0 can only be put back once Docker has its former settings, which comes
// later in the reverse order.
func TestRestoreGoesRoundUntilNothingIsLeft(t *testing.T) {
	m := newMachine()
	m.set("kernel", "docker0", "172.17.0.1")
	docker, kernel := &restorer{fake: newFake(m, "docker")}, &restorer{fake: newFake(m, "kernel", "docker")}
	kernel.plan = func(req Request[wish], _ map[string]string, p *Plan) {
		if up, ok := req.Upstream["docker"]; req.Desired == nil && (!ok || !up.Settled()) {
			p.Changes, p.Pending = nil, "Docker has not been restarted yet"
		}
	}
	e := newEngine(t, options(t, m, newSource(wish{"docker": {"bip": "172.17.43.1"}, "kernel": {"docker0": "172.17.43.1", "route": "1"}}), docker, kernel))
	e.Reconcile(t.Context())
	if err := e.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d, k := m.get("docker"), m.get("kernel"); len(d) > 0 || !maps.Equal(k, map[string]string{"docker0": "172.17.0.1"}) {
		t.Errorf("afterwards Docker has %v and the kernel %v", d, k)
	}
}

func TestAnInterruptedRestoreCanBeRepeated(t *testing.T) {
	m := newMachine()
	m.set("a", "x", "before")
	m.set("a", "y", "before")
	a := &restorer{fake: newFake(m, "a")}
	opts := options(t, m, newSource(wish{"a": {"x": "1", "z": "1"}}), a)
	e := newEngine(t, opts)
	e.Reconcile(t.Context())
	a.broken = true
	if err := e.Restore(t.Context()); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("the error is %v", err)
	}
	a.broken = false
	if err := newEngine(t, opts).Restore(t.Context()); err != nil { // another process
		t.Error(err)
	}
	if got := m.get("a"); !maps.Equal(got, map[string]string{"x": "before", "y": "before"}) {
		t.Errorf("afterwards there is %v", got)
	}
}
