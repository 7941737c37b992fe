package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Change is one correction that the agent made on this host, or one event that
// it noticed. Events are, for example: a peer failed, a tunnel went down, a
// problem appeared.
type Change struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event,omitempty"`         // kind of event, such as tunnel-down; empty: the agent changed something
	Object  string    `json:"object"`                  // in the words of the tool that shows it: "port gre43"
	Was     string    `json:"was"`                     // former state; empty: the object was missing
	Is      string    `json:"is"`                      // new state; empty: the object is gone
	Cause   string    `json:"cause"`                   // reason for the change, if it is known
	Seconds float64   `json:"seconds"`                 // duration of the change; 0 for an event
	After   float64   `json:"after_seconds,omitempty"` // duration of the former state before an event; 0: unknown
}

// validate returns an error for a Change that no agent writes.
func (c Change) validate() error {
	if c.Time.IsZero() || c.Object == "" || c.Seconds < 0 || c.After < 0 {
		return errors.New("no time, no object, or a duration below zero")
	}
	return nil
}

// line returns the change as one line of the file, with its newline.
func (c Change) line() ([]byte, error) {
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

// lines returns the changes as lines of the file.
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

// parse reads the lines of a file. It skips damaged lines.
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

// Newest returns the last n changes.
func Newest(all []Change, n int) []Change { return all[max(0, len(all)-n):] }

// Since returns the changes that are not older than when. It checks every
// change, because the times are not in order after the clock was set back.
func Since(all []Change, when time.Time) []Change {
	return slices.DeleteFunc(slices.Clone(all), func(c Change) bool { return c.Time.Before(when) })
}
