package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// wish is the desired state of the tests: values by component and object.
type wish map[string]map[string]string

// machine is what the fake components keep: values by component and object.
type machine struct {
	mu     sync.Mutex
	values wish
	calls  []string // of components, in order: "observe a", "apply a x=1"
}

func newMachine() *machine { return &machine{values: make(wish)} }

func (m *machine) called(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

// taken returns the calls since the last time.
func (m *machine) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

func (m *machine) set(component, object, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[component] == nil {
		m.values[component] = make(map[string]string)
	}
	if m.values[component][object] = value; value == "" {
		delete(m.values[component], object)
	}
}

func (m *machine) get(component string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values[component])
}

// fake is a component that keeps the values of a machine.
type fake struct {
	machine *machine
	name    string
	after   []string
	events  chan struct{}
	plan    func(Request[wish], map[string]string, *Plan) // adds to a plan
	wait    func(context.Context)                         // within Observe

	mu      sync.Mutex
	fails   error // of Observe
	refuses error // of Apply, which still makes the changes
}

func newFake(m *machine, name string, after ...string) *fake {
	return &fake{machine: m, name: name, after: after, events: make(chan struct{}, 100)}
}

func (f *fake) Name() string    { return f.name }
func (f *fake) After() []string { return f.after }

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

func (f *fake) Observe(ctx context.Context) (State, error) {
	f.machine.called("observe %s", f.name)
	if f.wait != nil {
		f.wait(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.fails, ctx.Err()); err != nil {
		return nil, err
	}
	return f.machine.get(f.name), nil
}

func (f *fake) Plan(req Request[wish], s State) Plan {
	var want map[string]string
	if req.Desired != nil {
		want = (*req.Desired)[f.name]
	}
	plan := Plan{Changes: f.diff(want, s.(map[string]string))}
	if f.plan != nil {
		f.plan(req, s.(map[string]string), &plan)
	}
	return plan
}

func (f *fake) diff(want, have map[string]string) []Change {
	var changes []Change
	both := maps.Clone(have)
	if both == nil {
		both = make(map[string]string)
	}
	maps.Copy(both, want)
	for _, object := range slices.Sorted(maps.Keys(both)) {
		if want[object] != have[object] {
			changes = append(changes, Change{Key: f.key(object), From: have[object], To: want[object]})
		}
	}
	return changes
}

func (f *fake) key(object string) Key { return Key{f.name, "value", object, ""} }

func (f *fake) Apply(_ context.Context, changes []Change) error {
	for _, c := range changes {
		f.machine.called("apply %s %s=%s", f.name, c.Key.Name, c.To)
		f.machine.set(f.name, c.Key.Name, c.To)
	}
	return f.refuses
}

func (f *fake) Watch(ctx context.Context, notify func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-f.events:
			if !ok {
				f.events = make(chan struct{}, 100)
				return errors.New("the connection was lost")
			}
			notify()
		}
	}
}

// source is a desired state that a test changes.
type source struct {
	mu       sync.Mutex
	desired  *wish
	problems []Problem
	changed  chan struct{}
}

func newSource(w wish) *source { return &source{desired: &w, changed: make(chan struct{}, 1)} }

func (s *source) Desired() (*wish, []Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired, s.problems
}

func (s *source) Changed() <-chan struct{} { return s.changed }
func (s *source) Window() Window           { return Window{10 * time.Millisecond, 100 * time.Millisecond} }

func (s *source) set(w *wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desired = w
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// originals is a store in memory.
type originals struct {
	machine *machine
	saved   map[string]json.RawMessage
}

func (o *originals) Load() (map[string]json.RawMessage, error) { return maps.Clone(o.saved), nil }

func (o *originals) Save(all map[string]json.RawMessage) error {
	o.machine.called("save %v", slices.Sorted(maps.Keys(all)))
	o.saved = all
	return nil
}

// options are those of an engine for a test.
func options(t testing.TB, m *machine, s Source[wish], components ...Component[wish]) Options[wish] {
	return Options[wish]{
		Source: s, Components: components, Originals: &originals{machine: m},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func newEngine(t testing.TB, opts Options[wish]) *Engine[wish] {
	t.Helper()
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// start runs an engine until the test ends.
func start(t *testing.T, e *Engine[wish]) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func wantCalls(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if got := m.taken(); !slices.Equal(got, want) {
		t.Errorf("the calls were\n %q, want\n %q", got, want)
	}
}

func codes(problems []Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Code)
	}
	return all
}
