package config

import (
	"reflect"
)

// configKeys returns the keys of Config in the order of its fields, such as
// node.name and node.advertise.
func configKeys() []string {
	return structKeys(reflect.TypeFor[Config](), "")
}

func structKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for field := range t.Fields() {
		tag, ok := field.Tag.Lookup("mapstructure")
		switch {
		case !ok || tag == "-":
		case isSection(field.Type):
			keys = append(keys, structKeys(field.Type, prefix+tag+".")...)
		default:
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}

// isSection reports whether a struct contains keys. Other structs are values.
func isSection(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	_, tagged := t.Field(0).Tag.Lookup("mapstructure")
	return tagged
}
