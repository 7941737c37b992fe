package settings

import (
	"fmt"
	"slices"
)

// Pin is a value that the configuration of one host fixes for that host.
type Pin struct {
	Value
	Where string // where the configuration has it: "/etc/gremesh/gremesh.yaml"
}

// Pinned returns the values that count on a host with these pins.
func Pinned(values Values, pins []Pin) Values {
	for _, p := range pins {
		values = values.With(p.Value)
	}
	return values
}

// Differing returns the pins whose value differs from that of the mesh.
func Differing(values Values, pins []Pin) []Pin {
	return slices.DeleteFunc(slices.Clone(pins), func(p Pin) bool {
		d, err := Lookup(p.Key)
		return err != nil || values.textOf(d) == p.Text
	})
}

// Text returns the value of a key as a record has it, or its default.
func Text(values Values, key string) string {
	d, err := Lookup(key)
	if err != nil {
		text, _ := values.Get(key)
		return text
	}
	return values.textOf(d)
}

// String says what the pin is: "tunnel.type is pinned to vxlan in FILE".
func (p Pin) String() string { return fmt.Sprintf("%s is pinned to %s in %s", p.Key, p.Text, p.Where) }
