package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// DryRun observes all components and plans for a desired state. It changes
// nothing.
func (e *Engine[In]) DryRun(ctx context.Context, desired *In) Report {
	return e.dryRun(ctx, e.units, desire(desired))
}

// DryRunRestore plans what Restore would do first. It changes nothing.
func (e *Engine[In]) DryRunRestore(ctx context.Context) (Report, error) {
	plan, err := e.restoration()
	if err != nil {
		return Report{}, err
	}
	return e.dryRun(ctx, e.reversed(), plan), nil
}

// dryRun plans without applying. The results of a component's upstream are
// those of the dry run.
func (e *Engine[In]) dryRun(ctx context.Context, units []*unit[In], plan planner[In]) Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	results := make(map[string]Result)
	halted := make(map[string]string)
	report := Report{Time: now}
	for _, u := range units {
		var r Result
		if r.Halted = haltedBy(u.after, halted); r.Halted == "" {
			r.State, r.Err = e.observe(ctx, u)
		}
		switch {
		case r.Halted != "":
			halted[u.name] = r.Halted
		case r.Err != nil:
			report.Problems = append(report.Problems, failure(u.name, r.Err))
		default:
			r.Plan = plan(u, upstream(u.after, results), r.State)
			report.Problems = append(report.Problems, r.Plan.Problems...)
			if r.Plan.Halt {
				halted[u.name] = u.name
			}
		}
		results[u.name] = r
		report.Components = append(report.Components, ComponentResult{u.name, r})
	}
	report.Problems = date(visible(report.Problems), e.Last().Problems, now)
	return report
}

// observe reads a component within the engine's timeout.
func (e *Engine[In]) observe(ctx context.Context, u *unit[In]) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	state, err := u.component.Observe(ctx)
	if err != nil {
		return nil, fmt.Errorf("observe %s: %w", u.name, err)
	}
	return state, nil
}

// upstream selects the results that the plan of a component may depend on.
func upstream(after []string, results map[string]Result) map[string]Result {
	selected := make(map[string]Result)
	for _, name := range after {
		if r, ok := results[name]; ok {
			selected[name] = r
		}
	}
	return selected
}

// reversed returns the components with dependents first.
func (e *Engine[In]) reversed() []*unit[In] {
	units := slices.Clone(e.units)
	slices.Reverse(units)
	return units
}
