package reconcile

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source provides the desired state.
type Source[In any] interface {
	// Desired returns the same pointer until the desired state changes, and
	// problems of its own. Nil: it is not known yet, so nothing is changed.
	Desired() (*In, []Problem)
	// Changed is signalled when Desired may return something new. The engine
	// is its only reader.
	Changed() <-chan struct{}
	// Window says how long changes are collected before a pass.
	Window() Window
}

// Originals stores what components need to restore the state before the first
// change.
type Originals interface {
	// Load returns what was saved; nothing is not an error.
	Load() (map[string]json.RawMessage, error)
	// Save returns once all of it is on disk. It replaces what was saved.
	Save(map[string]json.RawMessage) error
}

// Options configures an Engine. Source, Originals and Log must be set.
type Options[In any] struct {
	Source     Source[In]
	Components []Component[In]
	Originals  Originals
	Log        *slog.Logger
	// Journal records the changes of one component in one pass. Nil: they are
	// only logged.
	Journal func([]Entry)
	// Explain names the cause of a change by comparing two snapshots of its
	// component. prev is nil before the first pass without a difference. Nil, or
	// an empty result: the cause is another one.
	Explain func(prev *Snapshot[In], cur Snapshot[In], c Change) string
	// Snapshots are the last ones without a difference of an earlier engine, by
	// component. They explain the first changes of this one.
	Snapshots map[string]Snapshot[In]
	// Restarted names a program that was started since then and may have
	// changed what a component observes; empty: none.
	Restarted func(component string, since time.Time) string
	// Preempt is called after each component that ran without a failure. True
	// ends the pass: the components after it run in the next one. Nil: none.
	Preempt func(component string) bool
	// Reconciled is called after each pass, from the goroutine that made it.
	Reconciled func(Report)

	// Paced makes every pass run the components that failed. The caller of
	// Reconcile waits after failures itself.
	Paced bool

	Timeout time.Duration // of Observe and Apply of one component; 15 s if zero
	Resync  time.Duration // everything is observed again after this time; 30 s if zero
}

const (
	defaultTimeout = 15 * time.Second
	defaultResync  = 30 * time.Second
	firstBackoff   = 100 * time.Millisecond
	maxBackoff     = 10 * time.Second
	// eventCooldown is how long a failed component ignores events at most. Some
	// failures, such as a lost connection, cause events themselves and would
	// otherwise repeat in a tight loop.
	eventCooldown = time.Second
)

// Report is the outcome of a pass.
type Report struct {
	Time       time.Time
	Components []ComponentResult // in the order in which they run
	Problems   []Problem         // of all components and of the source, sorted
}

// ComponentResult is the result of one component.
type ComponentResult struct {
	Name string
	Result
}

// Result returns the result of a component; zero if it is not in the report.
func (r Report) Result(name string) Result {
	for i := range r.Components {
		if r.Components[i].Name == name {
			return r.Components[i].Result
		}
	}
	return Result{}
}

// Engine reconciles the components of one machine.
type Engine[In any] struct {
	opts  Options[In]
	units []*unit[In] // in order
	last  atomic.Pointer[Report]
	wake  chan struct{} // a component was notified; has room for one

	mu         sync.Mutex // held while components are observed and applied
	resyncAt   time.Time
	contention contention
	captured   bool // the originals of all components are stored
}

// New returns an engine that has not started. It fails if the components
// cannot be ordered.
func New[In any](opts Options[In]) (*Engine[In], error) {
	sorted, err := order(opts.Components)
	if err != nil {
		return nil, err
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Resync == 0 {
		opts.Resync = defaultResync
	}
	e := &Engine[In]{opts: opts, wake: make(chan struct{}, 1), contention: contention{objects: make(map[Key]*contended)}}
	for _, c := range sorted {
		u := newUnit(c)
		if s, ok := opts.Snapshots[u.name]; ok {
			u.clean = &s
		}
		e.units = append(e.units, u)
	}
	e.last.Store(&Report{})
	return e, nil
}

// Last returns the report of the last pass. Its values must not be changed.
func (e *Engine[In]) Last() Report { return *e.last.Load() }

// Snapshots returns the last snapshot without a difference of each component
// that has one.
func (e *Engine[In]) Snapshots() map[string]Snapshot[In] {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]Snapshot[In])
	for _, u := range e.units {
		if u.clean != nil {
			all[u.name] = *u.clean
		}
	}
	return all
}

// Notify makes the next pass observe these components again. It starts no pass.
func (e *Engine[In]) Notify(components ...string) {
	for _, u := range e.units {
		if slices.Contains(components, u.name) {
			u.notified.Store(true)
		}
	}
}

// Run reconciles until ctx ends: when a component or the source says that
// something may have changed, after failures, and periodically. The machine
// stays as it is when Run ends.
func (e *Engine[In]) Run(ctx context.Context) error {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	for _, u := range e.units {
		watchers.Go(func() { e.watch(ctx, u) })
	}
	for {
		next := e.Reconcile(ctx)
		if !e.wait(ctx, next) {
			return nil
		}
	}
}

// watch calls Watch of a component again and again, with a pause after errors.
func (e *Engine[In]) watch(ctx context.Context, u *unit[In]) {
	notify := func() {
		u.notified.Store(true)
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		began := time.Now()
		err := u.component.Watch(ctx, notify)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxBackoff {
			backoff = firstBackoff
		}
		e.opts.Log.Warn("watch ended; will retry", "component", u.name, "err", err)
		notify() // events in between are lost
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
	}
}

// wait returns when there is reason for a pass: collected events, or the time
// that the last pass asked for. It returns false when ctx has ended.
func (e *Engine[In]) wait(ctx context.Context, next time.Time) bool {
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	var host, source debounce
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-e.wake:
			host.add(time.Now(), hostWindow)
		case <-e.opts.Source.Changed():
			source.add(time.Now(), e.opts.Source.Window())
		}
		timer.Reset(time.Until(earliest(next, earliest(host.due, source.due))))
	}
}
