package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Change is one thing that the agent changed on this host, or an event that it
// noticed: a peer failed, a tunnel went down, a problem appeared.
type Change struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event,omitempty"`         // kind of event, such as tunnel-down; empty: the agent changed something
	Object  string    `json:"object"`                  // in the words of the tool that shows it: "port gre43"
	Was     string    `json:"was"`                     // empty: it was missing
	Is      string    `json:"is"`                      // empty: it is gone
	Cause   string    `json:"cause"`                   // what made it necessary, where that is known
	Seconds float64   `json:"seconds"`                 // that the change took; 0 for an event
	After   float64   `json:"after_seconds,omitempty"` // that the former state had lasted before an event; 0: unknown
}

// validate refuses what no agent writes.
func (c Change) validate() error {
	if c.Time.IsZero() || c.Object == "" || c.Seconds < 0 || c.After < 0 {
		return errors.New("no time, no object, or a duration below zero")
	}
	return nil
}

// line is the change as the file has it.
func (c Change) line() ([]byte, error) {
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

// lines are changes as the file has them.
func lines(changes []Change) ([]byte, error) {
	var all []byte
	for _, c := range changes {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		all = append(all, line...)
	}
	return all, nil
}

// parse reads lines, and skips those that are damaged.
func parse(file []byte) []Change {
	all := []Change{}
	for line := range bytes.Lines(file) {
		var c Change
		if json.Unmarshal(line, &c) == nil && c.validate() == nil {
			all = append(all, c)
		}
	}
	return all
}

// Newest are the last n.
func Newest(all []Change, n int) []Change { return all[max(0, len(all)-n):] }

// Since are those that are not older. Times may go back: the clock was set.
func Since(all []Change, when time.Time) []Change {
	return slices.DeleteFunc(slices.Clone(all), func(c Change) bool { return c.Time.Before(when) })
}
