package lease

import (
	"errors"
	"fmt"
	"net/netip"
)

// State says what a host's subnet is to it.
type State uint8

// The states of a record. Their numbers go over the wire: add, don't reorder.
const (
	Claiming State = iota + 1 // asked for; not to be applied
	Held                      // granted by a majority; the host's own
	Left                      // its host said goodbye and may come back to it
	Released                  // nobody's; the record remembers a version only
)

var stateNames = [...]string{Claiming: "claiming", Held: "held", Left: "left", Released: "released"}

// String is the state's word, as logs and status show it.
func (s State) String() string {
	if !s.valid() {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

func (s State) valid() bool { return s >= Claiming && s <= Released }

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) {
	if !s.valid() {
		return nil, fmt.Errorf("lease state %d is unknown", uint8(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *State) UnmarshalText(text []byte) error {
	for state := Claiming; state.valid(); state++ {
		if state.String() == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("lease state %.40q is unknown", text)
}

// MaxName is the longest name that a record carries, in bytes (hostname(7)).
const MaxName = 64

// maxCount bounds versions and ages, so that a hostile record can't make the
// next one overflow.
const maxCount = 1 << 62

// Record is a host's word about itself. Only the host writes it; everyone else
// copies it. Records of dead hosts stay in the table.
type Record struct {
	Host     ID             `json:"host" cbor:"1,keyasint"`
	Version  uint64         `json:"version" cbor:"2,keyasint"` // raised by the host at every change
	State    State          `json:"state" cbor:"3,keyasint"`
	Subnet   netip.Prefix   `json:"subnet" cbor:"4,keyasint"` // zero when Released without ever having had one
	Age      uint64         `json:"age" cbor:"5,keyasint"`    // the lease's place in the order of leases; lower is older
	Name     string         `json:"name" cbor:"6,keyasint"`
	Underlay netip.AddrPort `json:"underlay" cbor:"7,keyasint"` // where its gossip listens
}

// Validate refuses what no host writes. Records come off the network and out
// of files: nothing else may look at one before it has passed here.
func (r Record) Validate() error {
	switch {
	case r.Host.IsZero():
		return errors.New("record without a host ID")
	case r.Version == 0 || r.Version > maxCount || r.Age > maxCount:
		return fmt.Errorf("record of %s: version %d or age %d is out of range", r.Host, r.Version, r.Age)
	case !r.State.valid():
		return fmt.Errorf("record of %s: %s is unknown", r.Host, r.State)
	case r.Subnet != r.Subnet.Masked():
		return fmt.Errorf("record of %s: subnet %s has host bits", r.Host, r.Subnet)
	case !r.Subnet.IsValid() && r.State != Released:
		return fmt.Errorf("record of %s: %s without a subnet", r.Host, r.State)
	case !r.Underlay.IsValid() || r.Underlay.Port() == 0:
		return fmt.Errorf("record of %s: underlay address %s is not valid", r.Host, r.Underlay)
	case r.Name == "" || len(r.Name) > MaxName:
		return fmt.Errorf("record of %s: name has %d bytes, want 1 to %d", r.Host, len(r.Name), MaxName)
	}
	return nil
}

// occupies reports whether the record keeps others from its subnet.
func (r Record) occupies() bool { return r.State != Released }

// elects reports whether the host counts among those that are asked: it holds
// a lease, or may by now.
func (r Record) elects() bool { return r.State == Held || r.State == Claiming }

// Older reports whether r's lease wins over s's where they overlap: the lower
// age, then the lower ID. Every host that has both records names the same one.
func (r Record) Older(s Record) bool {
	if r.Age != s.Age {
		return r.Age < s.Age
	}
	return r.Host.Compare(s.Host) < 0
}
