package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Faults collects the faults of a configuration, at most one error for each
// key.
type Faults struct {
	*sources
	bad  map[string]bool
	errs []error
}

// add reports a fault of a key. The error names the key, its value, the origin
// of the value, and the allowed values. add ignores further faults of the same
// key.
func (f *Faults) add(key, format string, args ...any) {
	if !f.ok(key) {
		return
	}
	f.bad[key] = true
	value := fmt.Sprint(f.Get(key))
	if s, ok := f.Get(key).(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	f.errs = append(f.errs, fmt.Errorf("%s: %s (%s): %w", key, value, f.source(key), fmt.Errorf(format, args...)))
}

// ok reports whether no fault is known for any of the keys, so that the caller
// may compare their values.
func (f *Faults) ok(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool {
		section, _, _ := strings.Cut(key, ".")
		return f.bad[key] || f.bad[section]
	})
}

// Err joins the faults. It returns nil if there are none.
func (f *Faults) Err() error { return errors.Join(f.errs...) }

// AreOnlyIn reports whether each fault is about a key of one of the sections.
func (f *Faults) AreOnlyIn(sections ...string) bool {
	about := 0
	for key := range f.bad {
		if slices.ContainsFunc(sections, func(section string) bool { return inSection(section)(key) }) {
			about++
		}
	}
	return len(f.errs) <= about
}
