package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key is one setting with its type.
type Key[T any] struct {
	name    string
	help    string   // one line
	choices []string // words for shell completion; nil: any text
	// fixed says why the setting cannot change on a running mesh, and what to
	// do instead. It is empty if the setting can change.
	fixed   string
	initial T
	parse   func(text string) (T, error)
	format  func(T) string
	// draw makes a value from 64 random bits for the word "random". It is nil
	// if the key does not accept that word.
	draw func(random uint64) T
}

// Name returns the key's name in gremesh.yaml.
func (k Key[T]) Name() string { return k.name }

// Of returns the key's value. It returns the default if the key is absent, or
// if this version of gremesh cannot read the value. [Unreadable] lists such
// values.
func (k Key[T]) Of(values Values) T {
	if text, ok := values.Get(k.name); ok {
		if value, err := k.parse(text); err == nil {
			return value
		}
	}
	return k.initial
}

// Is returns the value in the form that a record contains.
func (k Key[T]) Is(value T) Value { return Value{k.name, k.format(value)} }

// Definition describes a key for code that does not need its type.
type Definition struct {
	Name    string
	Help    string
	Default string
	Choices []string
	Fixed   string // why it cannot change on a running mesh, and what to do instead; empty: it can

	canonical func(text string) (string, error)
	draw      func(random uint64) string
}

func (k Key[T]) definition() Definition {
	d := Definition{Name: k.name, Help: k.help, Default: k.format(k.initial), Choices: k.choices, Fixed: k.fixed}
	d.canonical = func(text string) (string, error) {
		value, err := k.parse(text)
		if err != nil {
			return "", err
		}
		return k.format(value), nil
	}
	if k.draw != nil {
		d.draw = func(random uint64) string { return k.format(k.draw(random)) }
	}
	return d
}

// Lookup returns the definition of a key. If the key is unknown, the error
// lists all keys.
func Lookup(key string) (Definition, error) {
	var names []string
	for _, d := range Definitions() {
		if d.Name == key {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Definition{}, fmt.Errorf("%q is not a mesh setting; the settings are %s", key, strings.Join(names, ", "))
}

// Canonical returns the text in the form that a record contains. If the text is
// not valid, the error states which values the key accepts. The word "random"
// is returned unchanged if the key accepts it.
func (d Definition) Canonical(text string) (string, error) {
	if text == Random && d.draw != nil {
		return Random, nil
	}
	text, err := d.canonical(text)
	if err != nil {
		return "", fmt.Errorf("%s %w", d.Name, err)
	}
	return text, nil
}

// Random is the word that stands for a random value.
const Random = "random"

// ErrFixed is wrapped by the error for a setting that cannot change on a
// running mesh.
var ErrFixed = errors.New("it cannot change on a running mesh")

// Edit returns a copy of values with the given changes. Each change may have
// any form that its key accepts. random returns 64 random bits. The error names
// the first change that is not possible, or the values that contradict each
// other. After an error the caller must keep the old values.
func Edit(values Values, changes []Value, random func() uint64) (Values, error) {
	edited := slices.Clone(values)
	for _, change := range changes {
		d, err := Lookup(change.Key)
		if err != nil {
			return nil, err
		}
		if change.Text, err = d.Canonical(change.Text); err != nil {
			return nil, err
		}
		if change.Text == Random && d.draw != nil {
			change.Text = d.draw(random())
		}
		if change.Text == edited.textFor(d) { // no change, so it is allowed even for a fixed key
			continue
		}
		if d.Fixed != "" {
			return nil, fmt.Errorf("%s is %s: %w, %s", d.Name, values.textFor(d), ErrFixed, d.Fixed)
		}
		edited = edited.With(change)
	}
	if err := Check(edited); err != nil {
		return nil, err
	}
	return edited, nil
}

func (v Values) textFor(d Definition) string {
	if text, ok := v.Get(d.Name); ok {
		return text
	}
	return d.Default
}

// Unreadable returns the values that this version of gremesh cannot parse
// although it knows their keys.
func Unreadable(values Values) []Value {
	var found []Value
	for _, d := range Definitions() {
		if text, ok := values.Get(d.Name); ok {
			if _, err := d.canonical(text); err != nil {
				found = append(found, Value{d.Name, text})
			}
		}
	}
	return found
}
