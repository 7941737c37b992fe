package main

import (
	"cmp"
	"fmt"
)

// hostLabels gives hosts their labels in a table.
type hostLabels struct{ ids map[string]map[string]bool }

// add tells of a host, before the first label is asked for.
func (l *hostLabels) add(name, id string) {
	if l.ids == nil {
		l.ids = make(map[string]map[string]bool)
	}
	if l.ids[name] == nil {
		l.ids[name] = make(map[string]bool)
	}
	l.ids[name][id] = true
}

// label returns a host's name, with the beginning of its ID where two hosts have
// that name, as in "h2 (de75d791)"; its ID if it has no name.
func (l *hostLabels) label(name, id string) string {
	if name != "" && len(l.ids[name]) > 1 {
		return fmt.Sprintf("%s (%.8s)", name, id)
	}
	return cmp.Or(name, id)
}
