package lease

import (
	"fmt"
	"maps"
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
	Founder  bool           // takes a lease by itself where no one is known to hold or to claim one
	Lost     bool           // what this host promised is lost, as far as its own disk goes
	// Objection says what speaks against forgetting a host, as seen from here;
	// nil: nothing ever does.
	Objection func(ID) Objection
}

// Machine is one host's part in the protocol.
type Machine struct {
	cfg     Config
	self    ID
	table   *Table
	expired map[ID]bool  // whose leases have run out, by this host's clock
	forced  map[ID]bool  // whom this host's operator has removed by force
	removal *removal     // the one that this host has asked for; nil: none
	lost    bool         // promises that this host made are lost, until its next claim stands
	sure    bool         // this process has taken its lease itself: it knows that no one else wrote its record
	active  bool         // takes part: has met others, or has reason to go on without
	claim   *claim       // nil while none is under way
	seeks   bool         // would claim, if it knew a holder to ask
	usurped bool         // the mesh knows a later self, whose promises are forgotten here: ask, and so learn them
	moves   bool         // may take another subnet than the one it had
	wish    netip.Prefix // the one to take, if it was told which
	had     Record       // what it comes back to if it does not get another one; zero: nothing
	off     rule         // none, but in the test of the simulation
}

// NewMachine returns the machine of a host that knew the given records when it
// last made its table durable. It answers claims, but its answers do not weigh
// and it claims nothing before Start.
func NewMachine(cfg Config, known []Record) *Machine {
	m := &Machine{cfg: cfg, self: cfg.Self, table: NewTable()}
	b := m.bounds() // of an empty table: its own disk is believed
	for _, r := range known {
		if m.acceptable(r, b) {
			m.table.Merge(r)
		}
	}
	m.lost = cfg.Lost || m.Own().Lost
	return m
}

// Own returns the host's own record; the zero Record when it never had one.
func (m *Machine) Own() Record {
	own, _ := m.table.Get(m.self)
	return own
}

// Table returns the machine's table, to be read only.
func (m *Machine) Table() *Table { return m.table }

// Holds reports whether the host holds a lease.
func (m *Machine) Holds() bool { return m.Own().State == Held }

// Start lets the host take part, after it has met others: it brings its own
// record up to date and asks for a lease if it has none.
func (m *Machine) Start() Output {
	m.active = true
	own := m.Own()
	if own.State != Held || m.usurped || m.lost {
		return m.begin(nil)
	}
	var out Output
	if own.Name != m.cfg.Name || own.Underlay != m.cfg.Underlay || own.Next.IsValid() {
		own.Next = netip.Prefix{} // a claim does not outlive its process
		out = m.write(own)
	}
	if m.cfg.Fixed.IsValid() && m.cfg.Fixed != own.Subnet {
		out.Add(m.begin(nil))
	}
	return out
}

// Retry moves a host on that wants a lease or a removal: it asks the silent
// hosts again, or starts over. Its owner calls it from time to time.
func (m *Machine) Retry() Output {
	return m.retryClaim().with(m.pursue())
}

func (m *Machine) retryClaim() Output {
	switch {
	case !m.active:
		return Output{}
	case m.claim != nil && m.knowsHolder():
		return m.ask(m.claim.again(m.table))
	case m.Holds() && (!m.cfg.Fixed.IsValid() || m.Own().Subnet == m.cfg.Fixed):
		return Output{}
	}
	return m.begin(nil)
}

// Renumber makes the host claim another subnet, the given one or, if that is
// zero, any. It lets go of the one it has only when the claim stands.
func (m *Machine) Renumber(to netip.Prefix) (Output, error) {
	switch own := m.Own(); {
	case !m.active:
		return Output{}, fmt.Errorf("this host has not met the mesh yet")
	case to.IsValid() && !m.cfg.Space.Contains(to):
		return Output{}, fmt.Errorf("%s is not one of the subnets of %s (/%d)", to, m.cfg.Space.Pool, m.cfg.Space.Bits)
	case to == own.Subnet && own.State == Held:
		return Output{}, fmt.Errorf("this host holds %s already", to)
	case m.cfg.Fixed.IsValid() && to != m.cfg.Fixed:
		return Output{}, fmt.Errorf("bip is fixed in the configuration, to a subnet of %s: change it there", m.cfg.Fixed)
	}
	if to.IsValid() {
		for r := range m.table.Occupants(to) {
			if r.Host != m.self && !m.gone(r.Host) {
				return Output{}, fmt.Errorf("%s is %s by %s (%s)", to, r.State, r.Name, r.Underlay.Addr())
			}
		}
	}
	m.moves, m.wish = true, to
	return m.begin(nil), nil
}

// Withdraw ends a renumbering that no majority has granted yet.
func (m *Machine) Withdraw() Output {
	if m.claim == nil || !m.Holds() {
		return Output{}
	}
	m.claim, m.moves, m.wish = nil, false, netip.Prefix{}
	return m.abandon()
}

// Expire tells which hosts' leases have run out: they keep no one from their
// subnets, and are not asked. They are still remembered, and count again when
// they are no longer given.
func (m *Machine) Expire(hosts map[ID]bool) Output {
	if maps.Equal(m.expired, hosts) {
		return Output{}
	}
	m.expired = hosts
	return m.recount()
}

// Expired reports whether a host's lease has run out, as last told by Expire.
func (m *Machine) Expired(host ID) bool { return m.expired[host] }

// Claiming reports whether a claim is under way.
func (m *Machine) Claiming() bool { return m.claim != nil }

// Leave says goodbye: for good with release, else the subnet stays this host's.
// The owner must hand the whole table, not only the host's own record, to
// those who stay: with it go the promises made here.
func (m *Machine) Leave(release bool) Output {
	own := m.Own()
	m.claim, m.removal, m.seeks, m.active = nil, nil, false, false
	own.Next = netip.Prefix{}
	switch {
	case own.Version == 0 || own.State == Released:
		return Output{}
	case release || own.Age == 0:
		own.State, own.Age = Released, 0
	case own.State == Left || own.State == Forgotten:
		return Output{}
	default:
		own.State = Left
	}
	out := m.write(own)
	out.Spread = nil
	return out
}

// Merge takes records that came by gossip. They must be valid. Those that lie
// beyond the bounds for one batch, see [Machine.acceptable], are refused.
func (m *Machine) Merge(records []Record) Output {
	var out Output
	b := m.bounds()
	for _, r := range records {
		switch {
		case !m.acceptable(r, b):
			if known, _ := m.table.Get(r.Host); known.Version < r.Version {
				out.Add(Output{Refused: []Record{r}})
			}
		case r.Host == m.self:
			out.Add(m.mergeOwn(r))
		case m.table.Merge(r):
			out.Changed = true
			m.heard(r)
		}
	}
	if out.Changed {
		m.superseded()
	}
	switch {
	case !m.active || !out.Changed:
	case m.usurped:
		out.Add(m.begin(nil))
	case m.seeks && m.knowsHolder():
		out.Add(m.Retry())
	case m.claim != nil:
		out.Add(m.decide())
	}
	return out
}

// write makes the next version of the host's own record. Claims are not spread:
// they are sent to those who matter.
func (m *Machine) write(own Record) Output {
	own.Host, own.Version, own.Name, own.Underlay = m.self, m.Own().Version+1, m.cfg.Name, m.cfg.Underlay
	own.Lost, own.Doomed = m.lost, false
	m.table.Merge(own)
	if own.State == Claiming {
		return Output{Changed: true}
	}
	return Output{Changed: true, Spread: []Record{own}}
}

// hold makes subnet the host's own. Whoever it belonged to before, and whose
// lease has run out, is off the books with that.
func (m *Machine) hold(subnet netip.Prefix) Output {
	var out Output
	for _, r := range slices.Collect(m.table.Occupants(subnet)) {
		if r.Host != m.self {
			out.Add(m.forget(r))
		}
	}
	age := m.Own().Age // of a lease that the host comes back to
	if age == 0 || m.Own().Subnet != subnet {
		age = m.table.lastAge() + 1
	}
	m.claim, m.seeks, m.moves, m.wish, m.had = nil, false, false, netip.Prefix{}, Record{}
	m.lost, m.sure = false, true
	return out.with(m.write(Record{State: Held, Subnet: subnet, Age: age}))
}

func (m *Machine) forget(r Record) Output {
	r.State, r.Version, r.Next, r.Lost, r.Doomed = Forgotten, r.Version+forgetting, netip.Prefix{}, false, false
	m.table.Merge(r)
	m.heard(r)
	return Output{Changed: true, Spread: []Record{r}}
}
