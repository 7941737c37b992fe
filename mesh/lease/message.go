package lease

import (
	"errors"
	"fmt"
)

// Message is what hosts tell each other about leases: a claim or an answer,
// never both.
type Message struct {
	Claim  *Claim  `cbor:"1,keyasint,omitempty"`
	Answer *Answer `cbor:"2,keyasint,omitempty"`
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
	// Records are From's table if it is a holder, unless the digests are
	// equal; else what stands against the claim.
	Records []Record `cbor:"5,keyasint,omitempty"`
}

// Validate refuses what no host sends.
func (m Message) Validate() error {
	switch {
	case (m.Claim == nil) == (m.Answer == nil):
		return errors.New("message is neither a claim nor an answer")
	case m.Claim != nil:
		if r := m.Claim.Record; r.State != Claiming && !r.Next.IsValid() {
			return fmt.Errorf("claim of nothing: a record in state %s", r.State)
		}
		return m.Claim.Record.Validate()
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
// durable if it changed, then send.
type Output struct {
	Changed bool
	Send    []Envelope
}

// Add joins what two calls asked for.
func (o *Output) Add(other Output) {
	o.Changed = o.Changed || other.Changed
	o.Send = append(o.Send, other.Send...)
}

func (o Output) with(other Output) Output {
	o.Add(other)
	return o
}
