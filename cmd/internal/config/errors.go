package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors collects the faults of a configuration, at most one error for each
// key.
type Errors struct {
	*sources
	bad  map[string]bool
	list []error
}

// add reports a fault of a key. The error names the key, its value, the origin
// of the value, and the allowed values. add ignores further faults of the same
// key.
func (e *Errors) add(key, format string, args ...any) {
	if !e.ok(key) {
		return
	}
	e.bad[key] = true
	value := fmt.Sprint(e.Get(key))
	if s, ok := e.Get(key).(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	e.list = append(e.list, fmt.Errorf("%s: %s (%s): %w", key, value, e.source(key), fmt.Errorf(format, args...)))
}

// ok reports whether no fault is known for any of the keys, so that the caller
// may compare their values.
func (e *Errors) ok(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool {
		section, _, _ := strings.Cut(key, ".")
		return e.bad[key] || e.bad[section]
	})
}

// Err joins them into one error. It returns nil if there are none.
func (e *Errors) Err() error { return errors.Join(e.list...) }

// AreOnlyIn reports whether each fault is about a key of one of the sections.
func (e *Errors) AreOnlyIn(sections ...string) bool {
	about := 0
	for key := range e.bad {
		if slices.ContainsFunc(sections, func(section string) bool { return inSection(section)(key) }) {
			about++
		}
	}
	return len(e.list) <= about
}
