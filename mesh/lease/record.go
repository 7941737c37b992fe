package lease

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// State says what a host's subnet is to it.
type State uint8

// The states of a record. Their numbers go over the wire: add, don't reorder.
const (
	Claiming  State = iota + 1 // asked for; not to be applied
	Held                       // granted by a majority; the host's own
	Left                       // its host said goodbye and may come back to it
	Released                   // given up by its host
	Forgotten                  // taken off the books by others; its host may ask for it again
)

var stateNames = [...]string{Claiming: "claiming", Held: "held", Left: "left", Released: "released", Forgotten: "forgotten"}

// String is the state's word, as logs and status show it.
func (s State) String() string {
	if !s.valid() {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

func (s State) valid() bool { return s >= Claiming && s <= Forgotten }

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
const maxCount = 1 << 61

// forgetting raises a version by more than the host itself ever does while it
// does not know that it was forgotten: of the two records the later one stands.
const forgetting = 1 << 20

// dooming raises a version in the same way when a removal begins. It is less
// than forgetting, so that the removal's end stands over its beginning.
const dooming = forgetting / 2

// Record is a host's word about itself. Only the host writes it, and everyone
// else copies it, until the host is forgotten. Records of dead hosts stay in
// the table.
type Record struct {
	Host     ID             `json:"host" cbor:"1,keyasint"`
	Version  uint64         `json:"version" cbor:"2,keyasint"` // raised by the host at every change
	State    State          `json:"state" cbor:"3,keyasint"`
	Subnet   netip.Prefix   `json:"subnet" cbor:"4,keyasint"` // zero when Released without ever having had one
	Age      uint64         `json:"age" cbor:"5,keyasint"`    // the lease's place in the order of leases; lower is older
	Name     string         `json:"name" cbor:"6,keyasint"`
	Underlay netip.AddrPort `json:"underlay" cbor:"7,keyasint"`               // where its gossip listens
	Next     netip.Prefix   `json:"next,omitzero" cbor:"8,keyasint,omitzero"` // asked for by a holder that renumbers
	// Lost says that the host has lost the promises that it made. It counts as
	// silent until its next claim stands.
	Lost bool `json:"lost,omitempty" cbor:"9,keyasint,omitempty"`
	// Doomed says that other hosts are agreeing to forget this host. It counts
	// as silent. A host that is running answers with a later version.
	Doomed bool `json:"doomed,omitempty" cbor:"10,keyasint,omitempty"`
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
	case r.Age == 0 && (r.State == Held || r.State == Left):
		return fmt.Errorf("record of %s: %s with age 0; the oldest lease has age 1", r.Host, r.State)
	case r.Next != r.Next.Masked() || r.Next.IsValid() && r.State != Held:
		return fmt.Errorf("record of %s: %s with next subnet %s", r.Host, r.State, r.Next)
	case !UsableUnderlay(r.Underlay.Addr()) || r.Underlay.Port() == 0:
		return fmt.Errorf("record of %s: underlay address %s is not a host's address with a port", r.Host, r.Underlay)
	case !ValidName(r.Name):
		return fmt.Errorf("record of %s: name %.80q: want 1 to %d printable bytes", r.Host, r.Name, MaxName)
	}
	return nil
}

// ValidName keeps names out that could not be printed on a line.
func ValidName(name string) bool {
	for _, b := range []byte(name) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// occupies reports whether the record keeps others from its subnets.
func (r Record) occupies() bool { return r.State == Claiming || r.State == Held || r.State == Left }

// ended reports whether the host gave its subnet up or was forgotten.
func (r Record) ended() bool { return r.State == Released || r.State == Forgotten }

// has reports whether subnet is one that the record occupies.
func (r Record) has(subnet netip.Prefix) bool {
	return r.occupies() && (r.Subnet == subnet || r.Next == subnet && subnet.IsValid())
}

// target is what a claim made with this record asks for.
func (r Record) target() netip.Prefix {
	if r.Next.IsValid() {
		return r.Next
	}
	return r.Subnet
}

// compareAge orders leases by who wins where they overlap: the lower age, then
// the lower ID. Every host that has both records names the same one.
func (r Record) compareAge(s Record) int {
	return cmp.Or(cmp.Compare(r.Age, s.Age), r.Host.Compare(s.Host))
}

// UsableUnderlay tells whether one host may be reached by the address from all
// others: a link-local one is of one link alone (RFC 4291, section 2.5.6).
func UsableUnderlay(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && (a.Is4() || !a.IsLinkLocalUnicast())
}
