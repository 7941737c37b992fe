package settings

import (
	"fmt"
	"slices"
)

// Pin is a value that the configuration of one host fixes for that host.
type Pin struct {
	Value
	Where string // file that contains the pin: "/etc/gremesh/gremesh.yaml"
}

// Pinned returns the values with the pins of a host applied.
func Pinned(values Values, pins []Pin) Values {
	for _, p := range pins {
		values = values.With(p.Value)
	}
	return values
}

// Differing returns the pins that differ from the value of the mesh. It ignores
// pins of unknown keys.
func Differing(values Values, pins []Pin) []Pin {
	return slices.DeleteFunc(slices.Clone(pins), func(p Pin) bool {
		d, err := Lookup(p.Key)
		return err != nil || values.textFor(d) == p.Text
	})
}

// Text returns the value of a key in the form that a record contains, or the
// key's default.
func Text(values Values, key string) string {
	d, err := Lookup(key)
	if err != nil {
		text, _ := values.Get(key)
		return text
	}
	return values.textFor(d)
}

// String returns the pin as text: "tunnel.type is pinned to vxlan in FILE".
func (p Pin) String() string { return fmt.Sprintf("%s is pinned to %s in %s", p.Key, p.Text, p.Where) }
