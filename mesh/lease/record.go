package lease

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// State is the relation between a host and the subnet in its record.
type State uint8

// The states of a record. The numbers are part of the wire format: add new ones
// at the end, and do not reorder them.
const (
	Claiming  State = iota + 1 // the host asks for the subnet; it must not apply it yet
	Held                       // a majority granted the subnet to the host
	Left                       // the host left the mesh, and may come back to the subnet
	Released                   // the host gave the subnet up
	Forgotten                  // other hosts removed the host; it may ask for the subnet again
)

var stateNames = [...]string{Claiming: "claiming", Held: "held", Left: "left", Released: "released", Forgotten: "forgotten"}

// String returns the name of the state, as logs and status show it.
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

// MaxName is the length of the longest name in a record, in bytes
// (hostname(7)).
const MaxName = 64

// maxCount is the largest valid version and sequence number. Without this bound
// a hostile record could make the next version or sequence number overflow.
const maxCount = 1 << 61

// forgetting is the amount by which other hosts raise a version when they
// forget a host. A host that does not know that it was forgotten never raises
// its version that far. So the forgotten record wins over the host's own.
const forgetting = 1 << 20

// dooming is the amount by which a version rises when a removal begins. It is
// less than forgetting, so that the record of the completed removal wins over
// the record of its start.
const dooming = forgetting / 2

// Record is a host's statement about itself. Only the host writes it, and the
// other hosts copy it. There are two exceptions: other hosts set Doomed, and
// they write the state Forgotten. Records of dead hosts stay in the table.
type Record struct {
	Host     ID             `json:"host" cbor:"1,keyasint"`
	Version  uint64         `json:"version" cbor:"2,keyasint"` // the host raises it at every change
	State    State          `json:"state" cbor:"3,keyasint"`
	Subnet   netip.Prefix   `json:"subnet" cbor:"4,keyasint"` // zero if the host is Released and never had a subnet
	Sequence uint64         `json:"age" cbor:"5,keyasint"`    // the lease's place in the order of leases; a lower one is an older lease
	Name     string         `json:"name" cbor:"6,keyasint"`
	Underlay netip.AddrPort `json:"underlay" cbor:"7,keyasint"`               // the underlay address of the host's gossip
	Next     netip.Prefix   `json:"next,omitzero" cbor:"8,keyasint,omitzero"` // the subnet that a holder asks for while it renumbers
	// Lost says that the host has lost the promises that it made. The host
	// counts as silent until its next claim stands.
	Lost bool `json:"lost,omitempty" cbor:"9,keyasint,omitempty"`
	// Doomed says that other hosts are agreeing to forget this host. The host
	// counts as silent. A running host answers with a later version.
	Doomed bool `json:"doomed,omitempty" cbor:"10,keyasint,omitempty"`
}

// Validate returns an error for a record that no correct host writes. Records
// come from the network and from files. No other code may use such a record
// before Validate has accepted it.
func (r Record) Validate() error {
	switch {
	case r.Host.IsZero():
		return errors.New("record without a host ID")
	case r.Version == 0 || r.Version > maxCount || r.Sequence > maxCount:
		return fmt.Errorf("record of %s: version %d or age %d is out of range", r.Host, r.Version, r.Sequence)
	case !r.State.valid():
		return fmt.Errorf("record of %s: %s is unknown", r.Host, r.State)
	case r.Subnet != r.Subnet.Masked():
		return fmt.Errorf("record of %s: subnet %s has host bits", r.Host, r.Subnet)
	case !r.Subnet.IsValid() && r.State != Released:
		return fmt.Errorf("record of %s: %s without a subnet", r.Host, r.State)
	case r.Sequence == 0 && (r.State == Held || r.State == Left):
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

// ValidName reports whether a name has 1 to MaxName bytes, all of them
// printable ASCII without spaces. Any other name could not be printed on one
// line.
func ValidName(name string) bool {
	for _, b := range []byte(name) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// occupies reports whether the record keeps other hosts from its subnets.
func (r Record) occupies() bool { return r.State == Claiming || r.State == Held || r.State == Left }

// ended reports whether the host gave its subnet up or was forgotten.
func (r Record) ended() bool { return r.State == Released || r.State == Forgotten }

// has reports whether the record occupies subnet.
func (r Record) has(subnet netip.Prefix) bool {
	return r.occupies() && (r.Subnet == subnet || r.Next == subnet && subnet.IsValid())
}

// target returns the subnet that a claim with this record asks for.
func (r Record) target() netip.Prefix {
	if r.Next.IsValid() {
		return r.Next
	}
	return r.Subnet
}

// compareSequence compares two leases of one subnet. The winner comes first:
// the one with the lower sequence number, or the lower ID if the sequence
// numbers are equal. Every host that has both records finds the same winner.
func (r Record) compareSequence(s Record) int {
	return cmp.Or(cmp.Compare(r.Sequence, s.Sequence), r.Host.Compare(s.Host))
}

// UsableUnderlay reports whether every other host can reach a host at this
// address. An IPv6 link-local address is valid on one link only (RFC 4291,
// section 2.5.6).
func UsableUnderlay(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && (a.Is4() || !a.IsLinkLocalUnicast())
}
