package lease

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// ID is a host's random, persistent identity. A lease belongs to an ID, not to
// a name or an address. The zero ID belongs to no host.
type ID [16]byte

// ParseID parses the form that [ID.String] returns: 32 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("host ID %.40q: want 32 hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("host ID %q: want 32 hexadecimal digits", s)
	}
	return id, nil
}

// String returns the ID as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is the zero ID, which belongs to no host.
func (id ID) IsZero() bool { return id == ID{} }

// Compare compares two IDs byte by byte and returns -1, 0 or 1.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}
