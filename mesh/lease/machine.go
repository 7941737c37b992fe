package lease

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// Config configures a Machine.
type Config struct {
	Self     ID
	Name     string
	Underlay netip.AddrPort // the underlay address of this host's gossip
	Pool     Pool
	Fixed    netip.Prefix   // the only subnet to claim, if the operator fixed it
	Prefer   []netip.Prefix // subnets to claim before any other, the best one first
	Founder  bool           // may take a lease by itself if it knows no host that holds or claims one
	Lost     bool           // this host's disk no longer has the promises that it made
	// Objection returns the reason why this host refuses to forget another
	// host. If Objection is nil, this host never refuses.
	Objection func(ID) Objection
}

// Machine runs the lease protocol for one host.
type Machine struct {
	cfg     Config
	self    ID
	table   *Table
	expired map[ID]bool // hosts whose leases have expired, by this host's clock
	forced  map[ID]bool // hosts that this host's operator has removed by force
	removal *removal    // the removal that this host has asked for; nil: none
	lost    bool        // this host has lost its promises, and its next claim does not stand yet
	// sure says that this process took its lease itself. So it knows that no
	// other process wrote its record.
	sure bool
	// active says that this host takes part: it has met other hosts, or has a
	// reason to continue without them.
	active     bool
	claim      *claim // nil while no claim is under way
	wantsClaim bool   // would start a claim if it knew a holder to ask
	// superseded says that the mesh knows a later version of this host's record.
	// This host has forgotten the promises of that version. It asks for its
	// lease again, and so learns them.
	superseded      bool
	moves           bool         // may take another subnet than the one that it had
	requestedSubnet netip.Prefix // the subnet that the operator asked for; zero: none
	previousLease   Record       // the record to return to if the host gets no other subnet; zero: none
}

// NewMachine returns the machine of a host. The records are those that the host
// has on disk. Before Start the machine answers claims, but its answers have no
// weight. Before Start it claims nothing.
func NewMachine(cfg Config, known []Record) *Machine {
	m := &Machine{cfg: cfg, self: cfg.Self, table: NewTable()}
	b := m.bounds() // computed on an empty table, because the host trusts its own disk
	for _, r := range known {
		if m.acceptable(r, b) {
			m.table.Merge(r)
		}
	}
	m.lost = cfg.Lost || m.Own().Lost
	return m
}

// Own returns the host's own record. It returns the zero Record if the host
// never had one.
func (m *Machine) Own() Record {
	own, _ := m.table.Get(m.self)
	return own
}

// Table returns the machine's table. The caller must not change it.
func (m *Machine) Table() *Table { return m.table }

// Holds reports whether the host holds a lease.
func (m *Machine) Holds() bool { return m.Own().State == Held }

// Start makes the host take part, after it has met other hosts. It updates the
// host's own record, and claims a lease if the host has none.
func (m *Machine) Start() Effects {
	m.active = true
	own := m.Own()
	if own.State != Held || m.superseded || m.lost {
		return m.begin(nil)
	}
	var out Effects
	if own.Name != m.cfg.Name || own.Underlay != m.cfg.Underlay || own.Next.IsValid() {
		own.Next = netip.Prefix{} // a claim ends with the process that made it
		out = m.write(own)
	}
	if m.cfg.Fixed.IsValid() && m.cfg.Fixed != own.Subnet {
		out.Add(m.begin(nil))
	}
	return out
}

// Retry continues a claim or a removal that has not finished. It asks the
// silent hosts again, or starts over. The owner calls it periodically.
func (m *Machine) Retry() Effects {
	return m.retryClaim().with(m.pursue())
}

func (m *Machine) retryClaim() Effects {
	switch {
	case !m.active:
		return Effects{}
	case m.claim != nil && m.knowsHolder():
		return m.ask(m.claim.retryTargets(m.table))
	case m.Holds() && (!m.cfg.Fixed.IsValid() || m.Own().Subnet == m.cfg.Fixed):
		return Effects{}
	}
	return m.begin(nil)
}

// Renumber makes the host claim another subnet. If to is zero, the host may
// claim any subnet. It keeps its present subnet until the claim stands.
// Renumber returns an error if the host cannot claim the requested subnet.
func (m *Machine) Renumber(to netip.Prefix) (Effects, error) {
	switch own := m.Own(); {
	case !m.active:
		return Effects{}, fmt.Errorf("this host has not met the mesh yet")
	case to.IsValid() && !m.cfg.Pool.Contains(to):
		return Effects{}, fmt.Errorf("%s is not one of the subnets of %s (/%d)", to, m.cfg.Pool.Prefix, m.cfg.Pool.Bits)
	case to == own.Subnet && own.State == Held:
		return Effects{}, fmt.Errorf("this host holds %s already", to)
	case m.cfg.Fixed.IsValid() && to != m.cfg.Fixed:
		return Effects{}, fmt.Errorf("bip is fixed in the configuration, to a subnet of %s: change it there", m.cfg.Fixed)
	}
	if to.IsValid() {
		for r := range m.table.Occupants(to) {
			if r.Host != m.self && !m.gone(r.Host) {
				return Effects{}, fmt.Errorf("%s is %s by %s (%s)", to, r.State, r.Name, r.Underlay.Addr())
			}
		}
	}
	m.moves, m.requestedSubnet = true, to
	return m.begin(nil), nil
}

// Withdraw ends a renumbering that no majority has granted yet.
func (m *Machine) Withdraw() Effects {
	if m.claim == nil || !m.Holds() {
		return Effects{}
	}
	m.claim, m.moves, m.requestedSubnet = nil, false, netip.Prefix{}
	return m.abandon()
}

// Expire sets the hosts whose leases have expired. Their records keep no host
// from their subnets, and this host does not ask them. The table keeps their
// records. A host that is missing in a later call counts again.
func (m *Machine) Expire(hosts map[ID]bool) Effects {
	if maps.Equal(m.expired, hosts) {
		return Effects{}
	}
	m.expired = hosts
	return m.recount()
}

// Expired reports whether a host's lease has expired, as set by Expire.
func (m *Machine) Expired(host ID) bool { return m.expired[host] }

// Claiming reports whether a claim is under way.
func (m *Machine) Claiming() bool { return m.claim != nil }

// Leave makes the host leave the mesh. With release the host gives up its
// subnet. Otherwise the subnet stays reserved for it, if it ever held a lease.
// The owner must send the whole table to the remaining hosts, not only the
// host's own record. The table contains the promises that this host made.
func (m *Machine) Leave(release bool) Effects {
	own := m.Own()
	m.claim, m.removal, m.wantsClaim, m.active = nil, nil, false, false
	own.Next = netip.Prefix{}
	switch {
	case own.Version == 0 || own.State == Released:
		return Effects{}
	case release || own.Sequence == 0:
		own.State, own.Sequence = Released, 0
	case own.State == Left || own.State == Forgotten:
		return Effects{}
	default:
		own.State = Left
	}
	out := m.write(own)
	out.Broadcast = nil
	return out
}

// Merge merges records that arrived by gossip. The caller must have validated
// them. Merge refuses a record outside the bounds for one batch, see
// [Machine.acceptable].
func (m *Machine) Merge(records []Record) Effects {
	var out Effects
	b := m.bounds()
	for _, r := range records {
		switch {
		case !m.acceptable(r, b):
			if known, _ := m.table.Get(r.Host); known.Version < r.Version {
				out.Add(Effects{Refused: []Record{r}})
			}
		case r.Host == m.self:
			out.Add(m.mergeOwn(r))
		case m.table.Merge(r):
			out.Changed = true
			m.heard(r)
		}
	}
	if out.Changed {
		m.updateRemoval()
	}
	switch {
	case !m.active || !out.Changed:
	case m.superseded:
		out.Add(m.begin(nil))
	case m.wantsClaim && m.knowsHolder():
		out.Add(m.Retry())
	case m.claim != nil:
		out.Add(m.decide())
	}
	return out
}

// write stores the next version of the host's own record. It does not spread a
// claim, because the host sends it to the voters directly.
func (m *Machine) write(own Record) Effects {
	own.Host, own.Version, own.Name, own.Underlay = m.self, m.Own().Version+1, m.cfg.Name, m.cfg.Underlay
	own.Lost, own.Doomed = m.lost, false
	m.table.Merge(own)
	if own.State == Claiming {
		return Effects{Changed: true}
	}
	return Effects{Changed: true, Broadcast: []Record{own}}
}

// hold makes subnet this host's own. It forgets every other host whose record
// still occupies the subnet. Such a record did not prevent the claim, for
// example because its lease has expired.
func (m *Machine) hold(subnet netip.Prefix) Effects {
	var out Effects
	for _, r := range slices.Collect(m.table.Occupants(subnet)) {
		if r.Host != m.self {
			out.Add(m.forget(r))
		}
	}
	seq := m.Own().Sequence // kept if the host comes back to its lease
	if seq == 0 || m.Own().Subnet != subnet {
		seq = m.table.lastSequence() + 1
	}
	m.claim, m.wantsClaim, m.moves, m.requestedSubnet, m.previousLease = nil, false, false, netip.Prefix{}, Record{}
	m.lost, m.sure = false, true
	return out.with(m.write(Record{State: Held, Subnet: subnet, Sequence: seq}))
}

// forget marks a record as Forgotten, with a version that wins over the host's
// own.
func (m *Machine) forget(r Record) Effects {
	r.State, r.Version, r.Next, r.Lost, r.Doomed = Forgotten, r.Version+forgetting, netip.Prefix{}, false, false
	m.table.Merge(r)
	m.heard(r)
	return Effects{Changed: true, Broadcast: []Record{r}}
}
