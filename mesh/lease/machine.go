package lease

import (
	"net/netip"
	"slices"
)

// Config is what a Machine is told once.
type Config struct {
	Self     ID
	Name     string
	Underlay netip.AddrPort // where this host's gossip listens
	Space    Space
	Fixed    netip.Prefix   // the only subnet to claim, when the operator fixed it
	Prefer   []netip.Prefix // subnets to claim before any other, best first
}

// Machine is one host's part in the protocol.
type Machine struct {
	cfg   Config
	self  ID
	table *Table
	claim *claim // nil while none is under way
	seeks bool   // would claim, if it knew a holder to ask
}

// claim is the attempt under way. Its subnet and version are those of the
// host's own record.
type claim struct {
	asked   map[ID]bool           // whom the claim was sent to since the last Retry
	answers map[ID]bool           // who granted, and whether as a holder
	refused map[netip.Prefix]bool // subnets denied since Claim was called
}

// NewMachine returns the machine of a host that knew the given records when it
// last made its table durable.
func NewMachine(cfg Config, known []Record) *Machine {
	m := &Machine{cfg: cfg, self: cfg.Self, table: NewTable()}
	for _, r := range known {
		if m.acceptable(r) {
			m.table.Merge(r)
		}
	}
	return m
}

// Own returns the host's own record; false when it never had one.
func (m *Machine) Own() (Record, bool) { return m.table.Get(m.self) }

// Table returns the machine's table, to be read only.
func (m *Machine) Table() *Table { return m.table }

// Holds reports whether the host holds a lease.
func (m *Machine) Holds() bool {
	own, _ := m.Own()
	return own.State == Held
}

// Found makes this host the first of a new mesh: it takes a lease by itself.
// It does nothing on a host that knows of others.
func (m *Machine) Found() Output {
	if len(m.electors()) > 0 || m.Holds() {
		return Output{}
	}
	subnet, ok := m.candidate(nil)
	if !ok {
		return Output{}
	}
	return m.write(Held, subnet, m.table.nextAge())
}

// Present brings the host's own record up to date with its name and underlay
// address. It keeps silent when there is no lease to tell of.
func (m *Machine) Present() Output {
	own, ok := m.Own()
	if !ok || own.State != Held || own.Name == m.cfg.Name && own.Underlay == m.cfg.Underlay {
		return Output{}
	}
	return m.write(own.State, own.Subnet, own.Age)
}

// Retry moves a host without a lease on: it asks again whoever is silent, or
// starts over. Its owner calls it after joining, and from time to time.
func (m *Machine) Retry() Output {
	switch {
	case m.Holds():
		return Output{}
	case m.claim == nil:
		return m.begin(make(map[netip.Prefix]bool))
	}
	clear(m.claim.asked)
	for id := range m.claim.answers {
		m.claim.asked[id] = true
	}
	return m.ask()
}

// Leave says goodbye: for good with release, else the subnet stays this host's.
// The owner must hand the whole table, not only the host's own record, to
// those who stay: with it go the promises made here.
func (m *Machine) Leave(release bool) Output {
	own, ok := m.Own()
	m.claim, m.seeks = nil, false
	switch {
	case !ok || own.State == Released || own.State == Left && !release:
		return Output{}
	case release || own.State == Claiming:
		return m.write(Released, own.Subnet, own.Age)
	}
	return m.write(Left, own.Subnet, own.Age)
}

// Merge takes records that came by gossip.
func (m *Machine) Merge(records []Record) Output {
	var out Output
	usurped := false
	for _, r := range records {
		if !m.acceptable(r) || !m.table.Merge(r) {
			continue
		}
		out.Changed = true
		usurped = usurped || r.Host == m.self
	}
	switch {
	case usurped && (!m.Holds() || len(m.electors()) > 0):
		// The mesh knows a later self than this host does. Whatever it
		// promised meanwhile is forgotten here: ask again, and so learn it.
		out.Add(m.begin(make(map[netip.Prefix]bool)))
	case m.seeks && m.knowsHolder():
		out.Add(m.Retry())
	case m.claim != nil && out.Changed:
		out.Add(m.decide())
	}
	return out
}

// Receive takes a message from another host. It must be valid.
func (m *Machine) Receive(msg Message) Output {
	if msg.Claim != nil {
		return m.receiveClaim(*msg.Claim)
	}
	return m.receiveAnswer(*msg.Answer)
}

func (m *Machine) receiveClaim(c Claim) Output {
	claimant := c.Record.Host
	if claimant == m.self || !m.acceptable(c.Record) {
		return Output{}
	}
	var out Output
	known, _ := m.table.Get(claimant)
	_, denied := m.table.Against(claimant, c.Record.Subnet)
	granted := !denied && known.Version <= c.Record.Version
	if granted {
		out.Changed = m.table.Merge(c.Record)
	}
	answer := &Answer{From: m.self, Version: c.Record.Version, Granted: granted, Holder: m.Holds()}
	if m.table.Digest() != c.Digest {
		answer.Records = m.table.Records()
	}
	out.Send = []Envelope{{To: claimant, Message: Message{Answer: answer}}}
	if m.claim != nil && out.Changed {
		out.Add(m.decide())
	}
	return out
}

func (m *Machine) receiveAnswer(a Answer) Output {
	before, _ := m.Own()
	out := m.Merge(a.Records)
	own, _ := m.Own()
	if m.claim == nil || a.Version != own.Version || before.Version != own.Version {
		return out
	}
	if !a.Granted {
		m.claim.refused[own.Subnet] = true
		out.Add(m.begin(m.claim.refused))
		return out
	}
	m.claim.answers[a.From] = a.Holder
	out.Add(m.decide())
	return out
}

// acceptable keeps records of another pool out of the table.
func (m *Machine) acceptable(r Record) bool {
	return !r.occupies() || m.cfg.Space.Contains(r.Subnet)
}

// electors are the other hosts that hold a lease or may by now, sorted.
func (m *Machine) electors() []ID {
	var ids []ID
	for r := range m.table.All() {
		if r.Host != m.self && r.elects() {
			ids = append(ids, r.Host)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}

// write makes the next version of the host's own record.
func (m *Machine) write(state State, subnet netip.Prefix, age uint64) Output {
	own, _ := m.Own()
	m.table.Merge(Record{
		Host: m.self, Version: own.Version + 1, State: state, Subnet: subnet, Age: age,
		Name: m.cfg.Name, Underlay: m.cfg.Underlay,
	})
	return Output{Changed: true}
}
