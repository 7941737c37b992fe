package reconcile

import "time"

// Window is how long events are collected: a pass starts when none has come for
// Quiet, or when the first is as old as Limit.
type Window struct{ Quiet, Limit time.Duration }

// hostWindow is for events of components. Programs of the machine can cause
// them at any rate; two passes a second are the most that they cost.
var hostWindow = Window{50 * time.Millisecond, 500 * time.Millisecond}

// debounce collects events of one kind. The zero value holds none.
type debounce struct{ first, due time.Time }

func (d *debounce) add(now time.Time, w Window) {
	if d.first.IsZero() {
		d.first = now
	}
	d.due = earliest(now.Add(w.Quiet), d.first.Add(w.Limit))
}
