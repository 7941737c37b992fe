package events

import (
	"maps"
	"slices"
	"time"
)

const (
	// flapLimit is the number of changes of one object that are reported within
	// flapWindow.
	flapLimit = 6
	// flapWindow is also the time for which a flapping object must be stable.
	// After that, a summary reports the hidden changes, and new changes are
	// reported again.
	flapWindow = 5 * time.Minute
)

// flap counts the changes of one object.
type flap struct {
	began  time.Time // start of the window
	last   time.Time // time of the last change
	count  int       // changes within the window, or since changes were first hidden
	hidden int       // changes that were not reported
	state  string    // state after the last change
}

// damp drops the changes of objects that change too often. It adds a summary
// for each object that has become stable.
func (t *Tracker) damp(now time.Time, changes []change) []Event {
	var events []Event
	for _, name := range slices.Sorted(maps.Keys(t.flaps)) {
		f := t.flaps[name]
		if now.Sub(f.last) < flapWindow {
			continue
		}
		delete(t.flaps, name)
		if f.hidden > 0 {
			events = append(events, Event{Time: now, Kind: Flapping, Text: name, After: f.last.Sub(f.began), Times: f.count, Is: f.state})
		}
	}
	for _, c := range changes {
		f := t.flaps[c.object]
		if f == nil || f.hidden == 0 && now.Sub(f.began) >= flapWindow {
			f = &flap{began: now}
			t.flaps[c.object] = f
		}
		f.count++
		f.last = now
		if _, f.state = c.States(); c.Kind == ProblemCleared {
			f.state = "cleared"
		}
		if f.count > flapLimit {
			f.hidden++
			continue
		}
		events = append(events, c.Event)
	}
	return events
}
