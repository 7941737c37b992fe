package lease

import (
	"errors"
	"fmt"
)

// Message is what hosts tell each other about leases. Exactly one field is set.
type Message struct {
	Claim   *Claim   `cbor:"1,keyasint,omitempty"`
	Answer  *Answer  `cbor:"2,keyasint,omitempty"`
	Removal *Removal `cbor:"3,keyasint,omitempty"`
	Consent *Consent `cbor:"4,keyasint,omitempty"`
}

// Claim asks for a subnet.
type Claim struct {
	Record Record `cbor:"1,keyasint"` // the claimant's own, in state Claiming, or Held with a Next
	Digest uint64 `cbor:"2,keyasint"` // of the claimant's table, this record included
}

// Answer grants or denies a claim.
type Answer struct {
	From    ID     `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"` // of the claim's record
	Granted bool   `cbor:"3,keyasint"` // From will grant the subnet to no one else
	Holder  bool   `cbor:"4,keyasint"` // From holds a lease itself: its grant weighs
	// Lost says that From may have forgotten promises: it counts as silent.
	Lost bool `cbor:"6,keyasint,omitempty"`
	// Records are From's table if it is a holder, unless the digests are
	// equal; else what stands against the claim.
	Records []Record `cbor:"5,keyasint,omitempty"`
}

// Validate refuses what no host sends.
func (m Message) Validate() error {
	set := 0
	for _, is := range []bool{m.Claim != nil, m.Answer != nil, m.Removal != nil, m.Consent != nil} {
		if is {
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

// ValidateAll refuses a list of records when one of them is refused.
func ValidateAll(records []Record) error {
	for _, r := range records {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Envelope is a message and the host that it is for.
type Envelope struct {
	To      ID
	Message Message
}

// Output is what a call to a Machine asks of its owner: first make the table
// durable if it changed, then send, and spread by gossip.
type Output struct {
	Changed bool
	Send    []Envelope
	Spread  []Record
	Refused []Record // records that were not taken, see [Machine.Merge]; at most maxRefused
}

// maxRefused bounds the refused records that one call reports.
const maxRefused = 8

// Add joins what two calls asked for.
func (o *Output) Add(other Output) {
	o.Changed = o.Changed || other.Changed
	o.Send = append(o.Send, other.Send...)
	o.Spread = append(o.Spread, other.Spread...)
	o.Refused = append(o.Refused, other.Refused[:min(len(other.Refused), maxRefused-min(len(o.Refused), maxRefused))]...)
}

func (o Output) with(other Output) Output {
	o.Add(other)
	return o
}
