package reconcile

import (
	"context"
	"errors"
	"slices"
	"time"
)

// pass is one call of Reconcile.
type pass[In any] struct {
	desired *In
	began   time.Time
	paced   bool              // see Options
	renewed map[string]bool   // components that were planned again
	applied map[string]bool   // components that applied something
	halted  map[string]string // components that must not run, and which one halted them
}

// Reconcile makes one pass over all components that have reason for it, and
// returns when the next one is due at the latest.
func (e *Engine[In]) Reconcile(ctx context.Context) (next time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &pass[In]{began: time.Now(), paced: e.opts.Paced, renewed: make(map[string]bool), applied: make(map[string]bool), halted: make(map[string]string)}
	var problems []Problem
	p.desired, problems = e.opts.Source.Desired()
	if !p.began.Before(e.resyncAt) {
		e.resync(p.began)
	}
	if p.desired != nil && !e.captured {
		if err := e.capture(ctx); err != nil {
			problems = append(slices.Clip(problems), failure("original", err))
			p.desired = nil
			e.resyncAt = p.began.Add(maxBackoff)
		}
	}
	for i, u := range e.units {
		if ctx.Err() != nil {
			break
		}
		e.step(ctx, u, p)
		if e.opts.Preempt != nil && u.result.Err == nil && e.opts.Preempt(u.name) {
			for _, later := range e.units[i+1:] {
				later.notified.Store(true) // the next pass does not know what this one has changed
			}
			break
		}
	}
	e.contention.sweep(p.began)
	e.conclude(p, problems)
	next = e.resyncAt
	for _, u := range e.units {
		next = earliest(next, u.next(p))
	}
	return next
}

// resync makes every component observe everything again.
func (e *Engine[In]) resync(now time.Time) {
	e.resyncAt = now.Add(e.opts.Resync)
	for _, u := range e.units {
		u.due = now
		if r, ok := u.component.(Refresher); ok {
			r.Refresh()
		}
	}
}

// step brings one component up to date: it observes if something may have
// changed, plans if an argument of Plan may be new, and applies the plan.
func (e *Engine[In]) step(ctx context.Context, u *unit[In], p *pass[In]) {
	if by := haltedBy(u.after, p.halted); by != "" {
		p.halted[u.name] = by
		u.result.Halted, u.result.Applied = by, nil
		return
	}
	u.result.Applied = nil
	if u.hasReason(p) {
		observe := u.isStale(p)
		u.notified.Store(false) // before Observe: an event during it is not lost
		u.due = time.Time{}
		u.desired = p.desired
		p.renewed[u.name] = true
		if err := e.run(ctx, u, p, observe); err != nil {
			if ctx.Err() != nil { // the agent stops, which makes everything fail
				return
			}
			u.fail(err)
			e.opts.Log.Debug("reconcile failed; will retry", "component", u.name, "err", err)
		}
	}
	if u.result.Plan.Halt {
		p.halted[u.name] = u.name
	}
}

// run observes, plans and applies one component. It applies the next plan too
// if a change made another one possible, or necessary.
func (e *Engine[In]) run(ctx context.Context, u *unit[In], p *pass[In], observe bool) (err error) {
	cur := Snapshot[In]{At: p.began, Desired: p.desired, State: u.result.State}
	if observe {
		if cur.State, err = e.observe(ctx, u); err != nil {
			return err
		}
	}
	if p.desired == nil {
		u.succeed(Result{State: cur.State})
		return nil
	}
	cur.Upstream = upstream(u.after, p.results(e.units))
	req := Request[In]{Desired: p.desired, Upstream: cur.Upstream}
	plan := u.component.Plan(req, cur.State)
	missing := remaining(cur.Upstream)
	ready, due := e.contention.split(p.began, plan.Changes, missing)
	var applied []Entry
	made := make(map[Key]bool)
	for more := len(ready) > 0; more; more = slices.ContainsFunc(ready, func(c Change) bool { return !made[c.Key] }) {
		began := time.Now()
		if err := e.apply(ctx, u, ready); err != nil {
			u.result.State, u.result.Plan = cur.State, plan // dependents rely on what was observed
			return err
		}
		for _, c := range ready {
			made[c.Key] = true
		}
		p.applied[u.name] = true
		applied = append(applied, e.record(u, cur, ready, began)...)
		if cur.State, err = e.observe(ctx, u); err != nil {
			return err
		}
		plan = u.component.Plan(req, cur.State)
		if ready, due = e.contention.split(time.Now(), plan.Changes, missing); len(ready) > 0 {
			due = time.Now().Add(hostWindow.Quiet) // something undoes what was made
		}
	}
	if plan.Recheck > 0 {
		due = earliest(due, time.Now().Add(plan.Recheck))
	}
	u.due = due
	if len(plan.Changes) == 0 {
		u.clean = &cur
	}
	u.succeed(Result{State: cur.State, Plan: plan, Applied: applied, Deferred: len(plan.Changes) - len(ready)})
	return nil
}

// remaining returns the keys of the changes that an upstream has not made.
func remaining(upstream map[string]Result) map[Key]bool {
	keys := make(map[Key]bool)
	for _, r := range upstream {
		for _, c := range r.Plan.Changes {
			keys[c.Key] = true
		}
	}
	return keys
}

// results returns the results of all components as of now.
func (p *pass[In]) results(units []*unit[In]) map[string]Result {
	results := make(map[string]Result, len(units))
	for _, u := range units {
		results[u.name] = u.result
	}
	return results
}

// conclude publishes the report of a pass.
func (e *Engine[In]) conclude(p *pass[In], problems []Problem) {
	report := Report{Time: p.began, Problems: slices.Clone(problems)}
	for _, u := range e.units {
		report.Components = append(report.Components, ComponentResult{u.name, u.result})
		_, applying := errors.AsType[*ApplyError](u.result.Err) // so the plan is of the same attempt
		if u.result.Err != nil {
			report.Problems = append(report.Problems, failure(u.name, u.result.Err))
		}
		if u.result.Halted == "" && (u.result.Err == nil || applying) {
			report.Problems = append(report.Problems, u.result.Plan.Problems...)
		}
	}
	report.Problems = append(report.Problems, e.contention.problems(e.investigate)...)
	report.Problems = date(visible(report.Problems), e.Last().Problems, p.began)
	e.last.Store(&report)
	if e.opts.Reconciled != nil {
		e.opts.Reconciled(report)
	}
}

// investigate says how to find the program that keeps changing an object.
func (e *Engine[In]) investigate(k Key) string {
	for _, u := range e.units {
		if i, ok := u.component.(Investigator); ok && u.name == k.Component {
			return i.Investigate(k)
		}
	}
	return "find the program that changes it, and stop it"
}
