package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rounds bounds how often Remove and Restore look again: some changes are only
// possible after another component has made its own.
const rounds = 4

// planner plans the next step of one component towards some goal.
type planner[In any] func(u *unit[In], upstream map[string]Result, s State) Plan

// desire plans for a desired state; nil: for the removal.
func desire[In any](desired *In) planner[In] {
	return func(u *unit[In], upstream map[string]Result, s State) Plan {
		return u.component.Plan(Request[In]{Desired: desired, Upstream: upstream}, s)
	}
}

// restoration plans the way back to the original state. Components that cannot
// restore are removed.
func (e *Engine[In]) restoration() (planner[In], error) {
	saved, err := e.opts.Originals.Load()
	if err != nil {
		return nil, fmt.Errorf("load the original state: %w", err)
	}
	return func(u *unit[In], upstream map[string]Result, s State) Plan {
		req := Request[In]{Upstream: upstream}
		if r, ok := u.component.(Restorer[In]); ok {
			return r.Restore(req, saved[u.name], s)
		}
		return u.component.Plan(req, s)
	}, nil
}

// Remove deletes what the engine's components own, dependents first. It does
// all that it can and returns what failed.
func (e *Engine[In]) Remove(ctx context.Context) error { return e.undo(ctx, desire[In](nil)) }

// Restore puts back what was there before the first change, dependents first.
// It does all that it can and returns what failed. It may be interrupted, and
// called again.
func (e *Engine[In]) Restore(ctx context.Context) error {
	plan, err := e.restoration()
	if err != nil {
		return err
	}
	return e.undo(ctx, plan)
}

// undo applies a plan to all components, dependents first, until nothing
// changes any more.
func (e *Engine[In]) undo(ctx context.Context, plan planner[In]) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	results := make(map[string]Result)
	for range rounds {
		changed := false
		for _, u := range e.reversed() {
			r := e.undoStep(ctx, u, func(s State) Plan { return plan(u, upstream(u.after, results), s) })
			results[u.name] = r
			changed = changed || len(r.Applied) > 0
		}
		if !changed {
			break
		}
	}
	var errs []error
	for _, u := range e.units {
		u.result, u.clean = Result{}, nil // of a desired state that no longer holds
		switch r := results[u.name]; {
		case r.Err != nil:
			errs = append(errs, r.Err)
		case len(r.Plan.Changes) > 0:
			errs = append(errs, fmt.Errorf("undo %s: %s is still %q", u.name, r.Plan.Changes[0].Key, r.Plan.Changes[0].From))
		case r.Plan.Pending != "":
			errs = append(errs, fmt.Errorf("undo %s: %s", u.name, r.Plan.Pending))
		}
	}
	return errors.Join(errs...)
}

// undoStep observes one component, applies a plan, and plans again.
func (e *Engine[In]) undoStep(ctx context.Context, u *unit[In], plan func(State) Plan) (r Result) {
	if r.State, r.Err = e.observe(ctx, u); r.Err != nil {
		return r
	}
	if r.Plan = plan(r.State); len(r.Plan.Changes) == 0 {
		return r
	}
	began := time.Now()
	changes := r.Plan.Changes
	if err := e.apply(ctx, u, changes); err != nil {
		r.Err = err
		return r
	}
	for _, c := range changes {
		r.Applied = append(r.Applied, Entry{Time: began, Change: c, Took: time.Since(began)})
	}
	if r.State, r.Err = e.observe(ctx, u); r.Err == nil {
		r.Plan = plan(r.State)
	}
	return r
}

// apply makes changes within the engine's timeout, or the component's own.
func (e *Engine[In]) apply(ctx context.Context, u *unit[In], changes []Change) error {
	timeout := e.opts.Timeout
	if t, ok := u.component.(Timed); ok {
		timeout = t.ApplyTimeout()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := u.component.Apply(ctx, changes); err != nil {
		return &ApplyError{u.name, err}
	}
	return nil
}
