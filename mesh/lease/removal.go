package lease

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Removal asks a host to agree that another host is forgotten. It is sent twice
// to each: first to learn what everyone has promised, then to hand all of that
// to those who agree.
type Removal struct {
	From    ID       `cbor:"1,keyasint"`
	Record  Record   `cbor:"2,keyasint"`           // of the host to be forgotten; Doomed
	Final   bool     `cbor:"3,keyasint,omitempty"` // the second time
	Records []Record `cbor:"4,keyasint,omitempty"` // From's table, with all that the others handed over
}

// Consent answers a Removal.
type Consent struct {
	From    ID        `cbor:"1,keyasint"`
	Host    ID        `cbor:"2,keyasint"` // the one to be forgotten
	Version uint64    `cbor:"3,keyasint"` // of the Removal's record
	Final   bool      `cbor:"4,keyasint,omitempty"`
	Why     Objection `cbor:"5,keyasint,omitempty"` // why From does not agree; NoObjection: it agrees
	Holder  bool      `cbor:"6,keyasint,omitempty"` // From holds a lease itself: its consent weighs
	Lost    bool      `cbor:"7,keyasint,omitempty"` // see Answer
	Records []Record  `cbor:"8,keyasint,omitempty"` // From's table
}

// Objection is a reason not to forget a host.
type Objection uint8

// The objections. Their numbers go over the wire: add, don't reorder.
const (
	NoObjection Objection = iota
	IsAlive               // its agent answers here
	Carries               // its agent is silent, but the tunnel to it carries packets
	Outdated              // a later record of it is known here
)

// String returns the objection as a clause: "h2 finds that it is alive".
func (o Objection) String() string {
	switch o {
	case NoObjection:
		return "there is no objection"
	case IsAlive:
		return "it is alive"
	case Carries:
		return "its tunnel carries packets"
	case Outdated:
		return "it has been heard of since"
	}
	return "it objects for a reason that this version does not know"
}

func (r Removal) validate() error {
	if r.From.IsZero() || r.From == r.Record.Host || !r.Record.Doomed {
		return errors.New("removal by nobody, by the host itself, or of a record that is not doomed")
	}
	return errors.Join(r.Record.Validate(), ValidateAll(r.Records))
}

func (c Consent) validate() error {
	if c.From.IsZero() || c.Host.IsZero() {
		return fmt.Errorf("consent of %s to the removal of %s", c.From, c.Host)
	}
	return ValidateAll(c.Records)
}

// removal is the one that this host has asked for.
type removal struct {
	record  Record
	final   bool
	votes   map[ID]vote
	against map[ID]Objection
}

// Removing says how far a removal has come.
type Removing struct {
	Host    ID
	Agreed  []ID             // holders that agree, sorted; this host is one if it holds a lease
	Silent  []ID             // holders that have not answered, sorted; the host itself is one if it holds a lease
	Against map[ID]Objection // by whom
}

// Stands reports whether a majority agrees.
func (r Removing) Stands() bool { return len(r.Against) == 0 && len(r.Agreed) > len(r.Silent) }

// Removing returns how far the removal under way has come; ok is false when
// there is none.
func (m *Machine) Removing() (r Removing, ok bool) {
	if m.removal == nil {
		return Removing{}, false
	}
	return m.tally(), true
}

// Forget asks the holders to agree that a host is gone for good. When a
// majority agrees, the host itself counted as silent, its record becomes
// [Forgotten]: its subnet is free, and it counts no more. If it comes back all
// the same, it asks for the subnet that it had, and gets it unless it is taken.
//
// The majority's tables, and so all promises in them, are known to a majority
// before the host's voice is gone.
func (m *Machine) Forget(host ID) Output {
	r, ok := m.table.Get(host)
	if !ok || host == m.self || r.ended() || !m.active {
		return Output{}
	}
	if m.off == consent {
		return m.forget(r).with(m.recount())
	}
	m.removal = &removal{votes: make(map[ID]vote), against: make(map[ID]Objection)}
	if why := m.objection(host); why != NoObjection {
		m.removal.record, m.removal.against[m.self] = r, why
		return Output{}
	}
	var out Output
	if !r.Doomed {
		r.Version, r.Doomed = r.Version+dooming, true
		m.table.Merge(r)
		m.heard(r)
		out.Changed = true
	}
	m.removal.record = r
	return out.with(m.pursue())
}

// Forgo ends a removal that has not been agreed to.
func (m *Machine) Forgo() { m.removal = nil }

func (m *Machine) objection(host ID) Objection {
	if m.cfg.Objection == nil {
		return NoObjection
	}
	return m.cfg.Objection(host)
}

// pursue asks those who have not answered.
func (m *Machine) pursue() Output {
	switch now, ok := m.Removing(); {
	case !ok || len(now.Against) > 0:
		return Output{}
	case now.Stands():
		return m.agreed()
	}
	message := Message{Removal: &Removal{From: m.self, Record: m.removal.record, Final: m.removal.final}}
	if m.removal.final && m.off != handOver {
		message.Removal.Records = m.table.news()
	}
	var out Output
	for _, r := range m.table.Records() {
		if v := m.removal.votes[r.Host]; m.votes(r) && r.Host != m.removal.record.Host && (v == silent || v == lost) {
			out.Send = append(out.Send, Envelope{To: r.Host, Message: message})
		}
	}
	return out
}

// agreed goes on after a majority has agreed. The first time, it hands to all
// what they have handed over; the second time, the removal stands.
func (m *Machine) agreed() Output {
	if !m.removal.final && m.off != handOver {
		m.removal.final = true
		clear(m.removal.votes)
		return m.pursue()
	}
	r := m.removal.record
	m.removal = nil
	return m.forget(r).with(m.recount())
}

// votes reports whether a host's word counts for a removal. A host that was
// removed by force on this host counts: others still rely on it.
func (m *Machine) votes(r Record) bool {
	return r.Host != m.self && (r.State == Held || r.State == Claiming) && !m.expired[r.Host]
}

// tally counts. The host to be forgotten is silent, whatever it says; so is a
// host of which others want to forget, too.
func (m *Machine) tally() Removing {
	now := Removing{Host: m.removal.record.Host, Against: maps.Clone(m.removal.against)}
	if m.Holds() && !m.lost {
		now.Agreed = append(now.Agreed, m.self)
	}
	for r := range m.table.All() {
		v := m.removal.votes[r.Host]
		switch {
		case !m.votes(r):
		case r.Host == now.Host, r.Doomed, v == silent, v == lost:
			now.Silent = append(now.Silent, r.Host)
		case v == weighs:
			now.Agreed = append(now.Agreed, r.Host)
		}
	}
	slices.SortFunc(now.Agreed, ID.Compare)
	slices.SortFunc(now.Silent, ID.Compare)
	return now
}

// receiveRemoval agrees to the removal of a host, unless something speaks
// against it. The doomed record in the table binds: from now on the host counts
// as silent here, and for everyone who learns of the record.
func (m *Machine) receiveRemoval(r Removal) Output {
	b := m.bounds()
	host, out := r.Record.Host, m.Merge(r.Records)
	consent := &Consent{From: m.self, Host: host, Version: r.Record.Version, Final: r.Final, Holder: m.active && m.Holds(), Lost: m.unsure()}
	switch known, _ := m.table.Get(host); {
	case host == m.self:
		out.Add(m.Merge([]Record{r.Record})) // and writes a later one
		consent.Why = IsAlive
	case m.objection(host) != NoObjection:
		consent.Why = m.objection(host)
	case known == r.Record || known.State == Forgotten && known.Version >= r.Record.Version:
	case known.Version < r.Record.Version && m.acceptable(r.Record, b):
		out.Add(m.Merge([]Record{r.Record}))
	default:
		consent.Why = Outdated
		if known.Version > 0 {
			consent.Records = []Record{known}
		}
	}
	if consent.Why == NoObjection && m.off != handOver {
		consent.Records = m.table.news()
	}
	return out.with(Output{Send: []Envelope{{To: r.From, Message: Message{Consent: consent}}}})
}

func (m *Machine) receiveConsent(c Consent) Output {
	out := m.Merge(c.Records)
	if m.removal == nil || c.Host != m.removal.record.Host || c.Version != m.removal.record.Version || c.Final != m.removal.final {
		return out
	}
	switch {
	case c.Why != NoObjection:
		m.removal.against[c.From] = c.Why
		return out
	case c.Lost:
		m.removal.votes[c.From] = lost
	case c.Holder:
		m.removal.votes[c.From] = weighs
	default:
		m.removal.votes[c.From] = bound
	}
	if m.tally().Stands() {
		return out.with(m.agreed())
	}
	return out
}

// superseded ends a removal when the host turns out to be there, or another
// host's removal of it stands.
func (m *Machine) superseded() {
	if m.removal == nil {
		return
	}
	r, _ := m.table.Get(m.removal.record.Host)
	switch {
	case r.ended():
		m.removal = nil
	case r.Version > m.removal.record.Version && !r.Doomed:
		m.removal.against[r.Host] = IsAlive
	case r.Version > m.removal.record.Version:
		m.removal.record = r
		clear(m.removal.votes)
		m.removal.final = false
	}
}

// Force tells which hosts this host's operator has removed by force: on this
// host they keep no one from their subnets, and are not asked. Unlike a removal
// by consent it binds nobody else.
func (m *Machine) Force(hosts map[ID]bool) Output {
	if maps.Equal(m.forced, hosts) {
		return Output{}
	}
	m.forced = hosts
	return m.recount()
}

// gone reports whether a host's lease no longer counts here: it has run out, or
// the operator removed the host by force.
func (m *Machine) gone(host ID) bool { return m.expired[host] || m.forced[host] }

// occupied reports whether someone else's record stands against a subnet.
func (m *Machine) occupied(subnet netip.Prefix) bool {
	for r := range m.table.Occupants(subnet) {
		if r.Host != m.self && !m.gone(r.Host) {
			return true
		}
	}
	return false
}
