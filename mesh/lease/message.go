package lease

import (
	"errors"
	"fmt"
)

// Message is a message about leases from one host to another. Exactly one field
// is set.
type Message struct {
	Claim   *Claim   `cbor:"1,keyasint,omitempty"`
	Answer  *Answer  `cbor:"2,keyasint,omitempty"`
	Removal *Removal `cbor:"3,keyasint,omitempty"`
	Consent *Consent `cbor:"4,keyasint,omitempty"`
}

// Claim asks another host to grant a subnet.
type Claim struct {
	Record Record `cbor:"1,keyasint"` // the claimant's own record, in state Claiming, or Held with a Next
	Digest uint64 `cbor:"2,keyasint"` // of the claimant's table, which includes this record
}

// Answer grants or denies a claim.
type Answer struct {
	From    ID     `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"` // version of the claim's record
	Granted bool   `cbor:"3,keyasint"` // From promises to grant the subnet to no other host
	Holder  bool   `cbor:"4,keyasint"` // From holds a lease itself, so its grant has weight
	// Lost says that From may have forgotten promises. From counts as silent.
	Lost bool `cbor:"6,keyasint,omitempty"`
	// Records are the table of From if From is a holder and the digests differ.
	// If From is no holder and denies the claim, they are the records that
	// conflict with it.
	Records []Record `cbor:"5,keyasint,omitempty"`
}

// Validate returns an error for a message that no correct host sends.
func (m Message) Validate() error {
	set := 0
	for _, present := range []bool{m.Claim != nil, m.Answer != nil, m.Removal != nil, m.Consent != nil} {
		if present {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("message has %d of claim, answer, removal and consent; want exactly one", set)
	case m.Claim != nil:
		if r := m.Claim.Record; r.State != Claiming && !r.Next.IsValid() {
			return fmt.Errorf("claim of nothing: a record in state %s", r.State)
		}
		return m.Claim.Record.Validate()
	case m.Removal != nil:
		return m.Removal.validate()
	case m.Consent != nil:
		return m.Consent.validate()
	}
	if m.Answer.From.IsZero() {
		return errors.New("answer of nobody")
	}
	return ValidateAll(m.Answer.Records)
}

// ValidateAll returns the first error of the given records, or nil if all of
// them are valid.
func ValidateAll(records []Record) error {
	for _, r := range records {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Envelope is a message with the host to send it to.
type Envelope struct {
	To      ID
	Message Message
}

// Effects lists the actions that the owner of a Machine must take after a call.
// If the table changed, the owner first writes it to disk. Then it sends the
// messages in Send, and spreads the records in Spread by gossip.
type Effects struct {
	Changed   bool
	Send      []Envelope
	Broadcast []Record
	Refused   []Record // records that [Machine.Merge] refused; at most maxRefused
}

// maxRefused is the largest number of refused records that one call reports.
const maxRefused = 8

// Add appends the actions of another call.
func (o *Effects) Add(other Effects) {
	o.Changed = o.Changed || other.Changed
	o.Send = append(o.Send, other.Send...)
	o.Broadcast = append(o.Broadcast, other.Broadcast...)
	o.Refused = append(o.Refused, other.Refused[:min(len(other.Refused), maxRefused-min(len(o.Refused), maxRefused))]...)
}

func (o Effects) with(other Effects) Effects {
	o.Add(other)
	return o
}
