package reconcile

import "time"

// Causes of changes that nothing else explains.
const (
	causeStart   = "the agent was started"
	causeUnknown = "changed by another program" // because the desired state is the same
)

// record logs changes that were made, with their causes, and counts them for
// contention.
func (e *Engine[In]) record(u *unit[In], cur Snapshot[In], changes []Change, began time.Time) []Entry {
	now := time.Now()
	took := now.Sub(began)
	explain := e.explainer(u, cur)
	entries := make([]Entry, 0, len(changes))
	for _, c := range changes {
		if c.Quiet {
			continue
		}
		entry := Entry{Time: now.UTC().Round(0), Change: c, Cause: explain(c), Took: took}
		e.opts.Log.Info("changed", "object", c.Key.String(), "was", c.From, "is", c.To, "cause", entry.Cause, "took", took.Round(time.Microsecond).String())
		entries = append(entries, entry)
	}
	e.contention.applied(now, changes)
	if e.opts.Journal != nil && len(entries) > 0 {
		e.opts.Journal(entries)
	}
	return entries
}

// explainer returns a function that names the cause of a change: the desired
// state differs from the last clean snapshot, or the machine does, or a program
// was restarted.
func (e *Engine[In]) explainer(u *unit[In], cur Snapshot[In]) func(Change) string {
	var restarted *string // asked at most once, because it reads the process table
	program := func() string {
		if restarted == nil {
			name := ""
			if e.opts.Restarted != nil && u.clean != nil {
				name = e.opts.Restarted(u.name, u.clean.At)
			}
			restarted = &name
		}
		return *restarted
	}
	return func(c Change) string {
		if e.opts.Explain != nil {
			if cause := e.opts.Explain(u.clean, cur, c); cause != "" {
				return cause
			}
		}
		if u.clean == nil {
			return causeStart
		}
		cause := ""
		if x, ok := u.component.(Explainer[In]); ok {
			cause, _ = x.Explain(*u.clean, cur, c)
		}
		switch name := program(); {
		case name != "" && cause != "":
			return name + " was restarted: " + cause
		case name != "":
			return name + " was restarted"
		case cause != "":
			return cause
		}
		return causeUnknown
	}
}
