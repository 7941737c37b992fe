package lease

import (
	"maps"
	"net/netip"
	"slices"
)

// claim is the claim that is under way. The host's own record has the subnet
// and the version of the claim. The machine updates these sets whenever the
// table changes.
type claim struct {
	refused map[netip.Prefix]bool // subnets that were denied since the first attempt
	answers map[ID]vote           // the hosts that granted the claim, and the weight of their grants
	version map[ID]uint64         // of these hosts' records when they answered
	granted map[ID]bool           // voters that granted the claim as holders
	silent  map[ID]bool           // voters that have not answered, or whose answer does not count
	unasked map[ID]bool           // the silent voters that the claim was not sent to yet
}

func (m *Machine) newClaim(refused map[netip.Prefix]bool) *claim {
	if refused == nil {
		refused = make(map[netip.Prefix]bool)
	}
	c := &claim{refused: refused, answers: make(map[ID]vote), version: make(map[ID]uint64)}
	m.count(c)
	return c
}

// count builds the claim's sets from the whole table.
func (m *Machine) count(c *claim) {
	c.granted, c.silent, c.unasked = make(map[ID]bool), make(map[ID]bool), make(map[ID]bool)
	for r := range m.table.All() {
		m.classify(c, r)
	}
}

// classify puts the host of a record into the claim's sets where it belongs.
func (m *Machine) classify(c *claim, r Record) {
	v := c.answers[r.Host]
	if v == weighs && c.version[r.Host] != r.Version {
		// The host may have lost its state since its answer, and this grant
		// with it.
		v = silent
		delete(c.answers, r.Host)
	}
	delete(c.granted, r.Host)
	switch {
	case !m.isVoter(r) || (v == bound || v == weighs) && !r.Doomed:
		delete(c.silent, r.Host)
		delete(c.unasked, r.Host)
		if v == weighs && m.isVoter(r) {
			c.granted[r.Host] = true
		}
	case !c.silent[r.Host]:
		c.silent[r.Host], c.unasked[r.Host] = true, true
	}
}

// retryTargets returns the hosts to ask once more. These are the silent ones. They
// also include hosts that answered without weight and hold a lease now, because
// a new answer has weight.
func (c *claim) retryTargets(table *Table) map[ID]bool {
	whom := maps.Clone(c.silent)
	for id, v := range c.answers {
		if r, _ := table.Get(id); v != weighs && r.State == Held {
			whom[id] = true
		}
	}
	return whom
}

// heard updates the claim's sets for a merged record.
func (m *Machine) heard(r Record) {
	if m.claim != nil {
		m.classify(m.claim, r)
	}
}

// Waiting says what a host without a lease is waiting for.
type Waiting struct {
	Subnet  netip.Prefix // the claimed subnet; zero when no claim is under way
	Granted int          // number of grants by holders so far
	// Silent are the hosts that have not answered the claim, sorted. Without a
	// claim, they are the hosts that may hold a lease by now while no holder is
	// known.
	Silent    []ID
	Exhausted bool         // there is no subnet that the host may claim
	Only      netip.Prefix // the one subnet that the host may claim; zero: it may choose
	Lost      []ID         // the hosts in Silent that answered, but have lost earlier promises; sorted
	// Oldest is the host that must come back first, because every host has left
	// and its lease is the oldest. Zero: this is not the case.
	Oldest ID
}

// Waiting returns what the host is waiting for. The result has no meaning if
// the host holds a lease and does not renumber.
func (m *Machine) Waiting() Waiting {
	w := Waiting{Only: m.only()}
	if m.claim == nil {
		_, ok := m.candidate(nil)
		w.Exhausted = !ok
		w.Oldest = m.oldestLeft()
		w.Silent = m.unheard()
		return w
	}
	w.Subnet = m.Own().target()
	w.Granted = len(m.claim.granted)
	w.Silent = slices.SortedFunc(maps.Keys(m.claim.silent), ID.Compare)
	for _, id := range w.Silent {
		if m.claim.answers[id] == lost {
			w.Lost = append(w.Lost, id)
		}
	}
	return w
}

// begin starts an attempt to claim the next candidate. It writes a new version
// of the host's own record, so answers to earlier attempts no longer count. A
// holder keeps its subnet during the attempt.
func (m *Machine) begin(refused map[netip.Prefix]bool) Effects {
	if m.superseded { // the own record now has the subnet of the later version
		m.previousLease = Record{}
	}
	m.claim, m.superseded = nil, false
	subnet, ok := m.candidate(refused)
	m.wantsClaim = !m.knowsHolder()
	own := m.Own()
	switch {
	case ok && m.isAlone() && (m.cfg.Founder && !m.lost || own.Sequence > 0 && own.State != Released):
		// No other host can grant or deny this claim. All others have left, or
		// this host has forgotten them while they forgot it.
		return m.hold(subnet)
	case m.wantsClaim || !ok:
		return m.abandon()
	case own.State == Held && own.Subnet == subnet:
		own.Next = netip.Prefix{}
		own.State = Claiming // superseded: the host asks for its own subnet again
	case own.State == Held:
		own.Next = subnet
	case own.Subnet == subnet:
		own.State = Claiming
	default:
		if own.Sequence > 0 && own.State != Released {
			m.previousLease = own
		}
		own = Record{State: Claiming, Subnet: subnet}
	}
	m.claim = m.newClaim(refused)
	return m.write(own).with(m.ask(m.claim.unasked))
}

// abandon ends the claim of the host's own record.
func (m *Machine) abandon() Effects {
	// A move that is not possible now is over. Otherwise the host could take
	// another subnet much later, by itself.
	m.requestedSubnet, m.moves = netip.Prefix{}, false
	own := m.Own()
	switch {
	case own.State == Held && own.Next.IsValid():
		own.Next = netip.Prefix{}
	case own.State == Claiming && own.Sequence > 0 && m.mayHave(own.Subnet):
		own.State = Left // the host comes back to the subnet when it knows a holder to ask
	case own.State == Claiming && own.Sequence > 0:
		own.State = Forgotten // another host has the subnet now; this host may take no other by itself
	case own.State == Claiming && m.previousLease.Sequence > 0:
		// The Forgotten record reserves nothing: in the meantime other hosts
		// can take the subnet that this host had.
		own.State, own.Subnet, own.Sequence = Forgotten, m.previousLease.Subnet, m.previousLease.Sequence
	case own.State == Claiming:
		own.State = Released
	default:
		return Effects{}
	}
	return m.write(own)
}

// ask sends the claim to the given voters.
func (m *Machine) ask(whom map[ID]bool) Effects {
	message := Message{Claim: &Claim{Record: m.Own(), Digest: m.table.Digest()}}
	var out Effects
	for _, id := range slices.SortedFunc(maps.Keys(whom), ID.Compare) {
		out.Send = append(out.Send, Envelope{To: id, Message: message})
	}
	clear(m.claim.unasked)
	return out
}

// decide counts the grants. Voters that were claiming when they answered are
// bound by their promise, but have no weight. Of the other voters, more must
// have granted the claim than are silent. Otherwise decide sends the claim to
// voters that it has not asked yet.
func (m *Machine) decide() Effects {
	if own := m.Own(); !m.grantable(own) { // a conflicting record in this host's own table has the effect of a denial
		m.claim.refused[own.target()] = true
		return m.begin(m.claim.refused)
	}
	granted, silent := len(m.claim.granted), len(m.claim.silent)
	if granted > silent {
		return m.hold(m.Own().target())
	}
	return m.ask(m.claim.unasked)
}

// recount evaluates the claim again after the voters have changed.
func (m *Machine) recount() Effects {
	switch {
	case m.claim != nil:
		m.count(m.claim)
		return m.decide()
	case m.wantsClaim:
		return m.Retry()
	}
	return Effects{}
}

// isVoter reports whether a host is a voter: it holds a lease, or may hold
// one by now.
func (m *Machine) isVoter(r Record) bool {
	return r.Host != m.self && (r.State == Held || r.State == Claiming) && !m.gone(r.Host)
}

// isAlone reports whether this host may start without asking any other host.
// That is the case if it knows no voter, and no host that left with an older
// lease. If all hosts have left, the one with the oldest lease must start
// first. If two hosts started alone, neither would know the grants of the
// other.
func (m *Machine) isAlone() bool {
	own := m.Own()
	for r := range m.table.All() {
		if m.isVoter(r) || m.precedes(r, own) {
			return false
		}
	}
	return true
}

// precedes reports whether the host of r has left and must come back before
// this host.
func (m *Machine) precedes(r, own Record) bool {
	return r.Host != m.self && r.State == Left && !m.gone(r.Host) && (own.Sequence == 0 || r.compareSequence(own) < 0)
}

// oldestLeft returns the host that all others wait for when every host has
// left. It returns the zero ID if there is a voter to ask, or if no host
// precedes this host.
func (m *Machine) oldestLeft() ID {
	var oldest Record
	for r := range m.table.All() {
		switch {
		case m.isVoter(r):
			return ID{}
		case m.precedes(r, m.Own()) && (oldest.Sequence == 0 || r.compareSequence(oldest) < 0):
			oldest = r
		}
	}
	return oldest.Host
}

// unheard returns the hosts whose last record is a claim, sorted, if no holder
// is known. Each of them may have got its subnet since. If a holder is known,
// unheard returns nil.
func (m *Machine) unheard() []ID {
	var hosts []ID
	for r := range m.table.All() {
		switch {
		case !m.isVoter(r):
		case r.State == Held:
			return nil
		default:
			hosts = append(hosts, r.Host)
		}
	}
	slices.SortFunc(hosts, ID.Compare)
	return hosts
}

func (m *Machine) knowsHolder() bool {
	for r := range m.table.All() {
		if r.State == Held && m.isVoter(r) {
			return true
		}
	}
	return false
}
