package render

import (
	"cmp"
	"fmt"
)

// hostLabels chooses the labels of hosts in a table.
type hostLabels struct{ ids map[string]map[string]bool }

// add registers a host. Add all hosts before the first call of label.
func (l *hostLabels) add(name, id string) {
	if l.ids == nil {
		l.ids = make(map[string]map[string]bool)
	}
	if l.ids[name] == nil {
		l.ids[name] = make(map[string]bool)
	}
	l.ids[name][id] = true
}

// label returns a host's name, or its ID if it has no name. If several hosts
// have the same name, it appends the first 8 digits of the ID, as in "h2
// (de75d791)".
func (l *hostLabels) label(name, id string) string {
	if name != "" && len(l.ids[name]) > 1 {
		return fmt.Sprintf("%s (%.8s)", name, id)
	}
	return cmp.Or(name, id)
}
