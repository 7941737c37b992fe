package lease

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Removal asks a host to agree to forget another host. The requester sends it
// twice to each holder. The first round collects the promises of all holders.
// The second round sends the collected promises to the holders that agree.
type Removal struct {
	From    ID       `cbor:"1,keyasint"`
	Record  Record   `cbor:"2,keyasint"`           // of the host to forget; it is Doomed
	Final   bool     `cbor:"3,keyasint,omitempty"` // set in the second round
	Records []Record `cbor:"4,keyasint,omitempty"` // From's table, with the tables that the first round collected
}

// Consent answers a Removal.
type Consent struct {
	From    ID        `cbor:"1,keyasint"`
	Host    ID        `cbor:"2,keyasint"` // the host to forget
	Version uint64    `cbor:"3,keyasint"` // version of the Removal's record
	Final   bool      `cbor:"4,keyasint,omitempty"`
	Why     Objection `cbor:"5,keyasint,omitempty"` // the reason why From does not agree; NoObjection: From agrees
	Holder  bool      `cbor:"6,keyasint,omitempty"` // From holds a lease itself, so its consent has weight
	Lost    bool      `cbor:"7,keyasint,omitempty"` // see Answer
	Records []Record  `cbor:"8,keyasint,omitempty"` // From's table
}

// Objection is a reason not to forget a host.
type Objection uint8

// The objections. Their numbers are on the wire: append, do not reorder.
const (
	NoObjection Objection = iota
	IsAlive               // the host's agent answers here
	Carries               // the host's agent is silent, but the tunnel to the host carries packets
	Outdated              // this host knows a later record of the host
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

// removal is the removal that this host has asked for.
type removal struct {
	record  Record
	final   bool
	votes   map[ID]vote
	against map[ID]Objection
}

// Removing is the progress of a removal.
type Removing struct {
	Host    ID
	Agreed  []ID             // holders that agree, sorted; includes this host if it holds a lease
	Silent  []ID             // hosts with a lease or a claim that have not answered, sorted; includes the host to forget
	Against map[ID]Objection // by the host that objects
}

// Stands reports whether a majority agrees and no host objects.
func (r Removing) Stands() bool { return len(r.Against) == 0 && len(r.Agreed) > len(r.Silent) }

// Removing returns the progress of the removal under way. ok is false if no
// removal is under way.
func (m *Machine) Removing() (r Removing, ok bool) {
	if m.removal == nil {
		return Removing{}, false
	}
	return m.tally(), true
}

// Forget asks the holders to agree that a host is permanently gone. The host
// itself counts as silent. If a majority agrees, its record becomes
// [Forgotten]: its subnet is free, and it no longer counts. If the host comes
// back later, it asks for its old subnet, and gets it if it is free.
//
// A majority knows all promises of the majority before the host stops counting.
func (m *Machine) Forget(host ID) Effects {
	r, ok := m.table.Get(host)
	if !ok || host == m.self || r.ended() || !m.active {
		return Effects{}
	}
	m.removal = &removal{votes: make(map[ID]vote), against: make(map[ID]Objection)}
	if why := m.objection(host); why != NoObjection {
		m.removal.record, m.removal.against[m.self] = r, why
		return Effects{}
	}
	var out Effects
	if !r.Doomed {
		r.Version, r.Doomed = r.Version+dooming, true
		m.table.Merge(r)
		m.heard(r)
		out.Changed = true
	}
	m.removal.record = r
	return out.with(m.pursue())
}

// Forgo ends a removal that no majority has agreed to yet.
func (m *Machine) Forgo() { m.removal = nil }

func (m *Machine) objection(host ID) Objection {
	if m.cfg.Objection == nil {
		return NoObjection
	}
	return m.cfg.Objection(host)
}

// pursue sends the removal to the hosts that have not answered. If a majority
// agrees already, it takes the next step. If a host objects, it does nothing.
func (m *Machine) pursue() Effects {
	switch now, ok := m.Removing(); {
	case !ok || len(now.Against) > 0:
		return Effects{}
	case now.Stands():
		return m.agreed()
	}
	message := Message{Removal: &Removal{From: m.self, Record: m.removal.record, Final: m.removal.final}}
	if m.removal.final {
		message.Removal.Records = m.table.unsortedRecords()
	}
	var out Effects
	for _, r := range m.table.Records() {
		if v := m.removal.votes[r.Host]; m.votes(r) && r.Host != m.removal.record.Host && (v == silent || v == lost) {
			out.Send = append(out.Send, Envelope{To: r.Host, Message: message})
		}
	}
	return out
}

// agreed continues after a majority has agreed. After the first round it starts
// the second one, which sends the collected tables to all. After the second
// round the removal stands.
func (m *Machine) agreed() Effects {
	if !m.removal.final {
		m.removal.final = true
		clear(m.removal.votes)
		return m.pursue()
	}
	r := m.removal.record
	m.removal = nil
	return m.forget(r).with(m.recount())
}

// votes reports whether a host's vote counts for a removal. A host that this
// host's operator removed by force still votes, because other hosts still rely
// on it.
func (m *Machine) votes(r Record) bool {
	return r.Host != m.self && (r.State == Held || r.State == Claiming) && !m.expired[r.Host]
}

// tally counts the votes. The host to forget always counts as silent. So does a
// host that other hosts also want to forget.
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

// receiveRemoval agrees to the removal of a host, unless there is an objection.
// Agreeing stores the doomed record. From then on the host counts as silent
// here, and on every host that learns of the record.
func (m *Machine) receiveRemoval(r Removal) Effects {
	b := m.bounds()
	host, out := r.Record.Host, m.Merge(r.Records)
	consent := &Consent{From: m.self, Host: host, Version: r.Record.Version, Final: r.Final, Holder: m.active && m.Holds(), Lost: m.unsure()}
	switch known, _ := m.table.Get(host); {
	case host == m.self:
		out.Add(m.Merge([]Record{r.Record})) // this host answers with a later version
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
	if consent.Why == NoObjection {
		consent.Records = m.table.unsortedRecords()
	}
	return out.with(Effects{Send: []Envelope{{To: r.From, Message: Message{Consent: consent}}}})
}

func (m *Machine) receiveConsent(c Consent) Effects {
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

// updateRemoval updates the removal after a merge. It ends the removal if the
// host has ended. It notes an objection if the host is alive. If another host
// raised the doomed record, voting starts again.
func (m *Machine) updateRemoval() {
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

// Force sets the hosts that this host's operator has removed by force. On this
// host their records keep no host from their subnets, and this host does not
// ask them. Unlike a removal by consent, this binds no other host.
func (m *Machine) Force(hosts map[ID]bool) Effects {
	if maps.Equal(m.forced, hosts) {
		return Effects{}
	}
	m.forced = hosts
	return m.recount()
}

// gone reports whether a host's lease does not count here. It has expired, or
// the operator removed the host by force.
func (m *Machine) gone(host ID) bool { return m.expired[host] || m.forced[host] }

// occupied reports whether another host's record, if it counts, has subnet.
func (m *Machine) occupied(subnet netip.Prefix) bool {
	for r := range m.table.Occupants(subnet) {
		if r.Host != m.self && !m.gone(r.Host) {
			return true
		}
	}
	return false
}
