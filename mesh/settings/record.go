package settings

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/gremesh/gremesh/mesh/lease"
)

// Limits of a record.
const (
	MaxVersion = 1 << 62 // of a valid record, so that a next version always exists
	MaxJump    = 1 << 32 // by which one message can raise the version of a known record
	maxValues  = 128
	maxText    = 256  // bytes of one key or value
	maxBytes   = 8192 // of all keys and values together
)

// Record is one version of a mesh's settings. The zero Record means that the
// host has not learned the settings of its mesh yet.
//
// Version 0 belongs to a mesh that is older than this record format. Each host
// made it from its own configuration, which had to be the same on all hosts.
type Record struct {
	Version uint64   `cbor:"1,keyasint" json:"version"`
	Writer  lease.ID `cbor:"2,keyasint" json:"writer"` // host that wrote this version; zero in version 0
	Values  Values   `cbor:"3,keyasint" json:"values"`
}

// Value is the text of one key in its canonical form.
type Value struct {
	Key  string `cbor:"1,keyasint" json:"key"`
	Text string `cbor:"2,keyasint" json:"value"`
}

// Values are sorted by key, and each key occurs once. An absent key has its
// default.
type Values []Value

// IsZero reports whether the record is the zero Record.
func (r Record) IsZero() bool { return len(r.Values) == 0 }

// Get returns the text of a key. ok is false if the key is absent.
func (v Values) Get(key string) (text string, ok bool) {
	i, ok := v.find(key)
	if !ok {
		return "", false
	}
	return v[i].Text, true
}

// With returns a copy in which the given values replace those of the same keys.
func (v Values) With(values ...Value) Values {
	v = slices.Clone(v)
	for _, value := range values {
		if i, ok := v.find(value.Key); ok {
			v[i] = value
		} else {
			v = slices.Insert(v, i, value)
		}
	}
	return v
}

func (v Values) find(key string) (int, bool) {
	return slices.BinarySearchFunc(v, key, func(have Value, key string) int { return cmp.Compare(have.Key, key) })
}

func (v Value) compare(other Value) int {
	return cmp.Or(cmp.Compare(v.Key, other.Key), cmp.Compare(v.Text, other.Text))
}

// Compare orders records; 1 means that r replaces other. The record with the
// higher version wins, then the one with the higher writer, then the content
// decides. It returns 0 only for equal records.
func (r Record) Compare(other Record) int {
	if r.IsZero() != other.IsZero() {
		if r.IsZero() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(r.Version, other.Version), r.Writer.Compare(other.Writer),
		slices.CompareFunc(r.Values, other.Values, Value.compare))
}

// Merge returns the winner of two records by [Record.Compare].
func Merge(a, b Record) Record {
	if b.Compare(a) > 0 {
		return b
	}
	return a
}

// Accept merges a record that another host sent. It returns an error if got is
// not valid, or if its version is more than MaxJump above the version of known.
// Such a record does not come from a working host and would use up the
// versions. A host without a record accepts any valid record.
func Accept(known, got Record) (Record, error) {
	if err := got.Validate(); err != nil {
		return known, err
	}
	if !known.IsZero() && got.Version > known.Version && got.Version-known.Version > MaxJump {
		return known, fmt.Errorf("mesh settings of version %d: too far ahead of version %d", got.Version, known.Version)
	}
	return Merge(known, got), nil
}

// Validate returns an error for a record that no host writes. It does not check
// the meaning of the values, because a later version of gremesh may know more
// keys.
func (r Record) Validate() error {
	switch {
	case r.IsZero():
		return errors.New("mesh settings without values")
	case r.Version > MaxVersion:
		return fmt.Errorf("mesh settings of version %d: the highest is %d", r.Version, uint64(MaxVersion))
	case len(r.Values) > maxValues:
		return fmt.Errorf("mesh settings with %d values: at most %d", len(r.Values), maxValues)
	}
	total := 0
	for i, v := range r.Values {
		if !isKey(v.Key) || !isText(v.Text) {
			return fmt.Errorf("mesh settings: %.80q = %.80q is not a key and a value", v.Key, v.Text)
		}
		if i > 0 && r.Values[i-1].Key >= v.Key {
			return fmt.Errorf("mesh settings: the key %q is not in order", v.Key)
		}
		total += len(v.Key) + len(v.Text)
	}
	if total > maxBytes {
		return fmt.Errorf("mesh settings of %d bytes: at most %d", total, maxBytes)
	}
	return nil
}

// Digest returns a hash of the record. Different records have different
// digests, except for collisions. The digest is never 0.
func (r Record) Digest() uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", r.Version, r.Writer) // writing to a hash cannot fail
	for _, v := range r.Values {
		_, _ = fmt.Fprintf(h, "\x00%s\x00%s", v.Key, v.Text)
	}
	return max(1, h.Sum64())
}

// isKey reports whether a key has the form of the keys in gremesh.yaml.
func isKey(key string) bool {
	for _, b := range []byte(key) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '_' {
			return false
		}
	}
	return key != "" && len(key) <= maxText
}

// isText reports whether a value is printable ASCII on one line, at most
// maxText bytes.
func isText(text string) bool {
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return text != "" && len(text) <= maxText
}
