package lease

import (
	"maps"
	"net/netip"
	"slices"
)

// claim is the attempt under way. What it asks for, and as which version, is
// in the host's own record. Its sets are kept in step with the table.
type claim struct {
	refused map[netip.Prefix]bool // subnets denied since the first attempt
	answers map[ID]vote           // who granted it, and how much that weighs
	version map[ID]uint64         // of their records when they answered
	granted map[ID]bool           // electors that granted it as holders
	silent  map[ID]bool           // electors that have not answered
	unasked map[ID]bool           // the silent ones that it has not been sent to
}

func (m *Machine) newClaim(refused map[netip.Prefix]bool) *claim {
	if refused == nil {
		refused = make(map[netip.Prefix]bool)
	}
	c := &claim{refused: refused, answers: make(map[ID]vote), version: make(map[ID]uint64)}
	m.count(c)
	return c
}

// count fills the claim's sets from the table.
func (m *Machine) count(c *claim) {
	c.granted, c.silent, c.unasked = make(map[ID]bool), make(map[ID]bool), make(map[ID]bool)
	for r := range m.table.All() {
		m.place(c, r)
	}
}

// place puts one host where it belongs among the claim's sets.
func (m *Machine) place(c *claim, r Record) {
	v := c.answers[r.Host]
	if v == weighs && c.version[r.Host] != r.Version && m.off != recall {
		// It may have lost its state since, and with it this grant.
		v = silent
		delete(c.answers, r.Host)
	}
	delete(c.granted, r.Host)
	switch {
	case !m.elects(r) || (v == bound || v == weighs) && !r.Doomed:
		delete(c.silent, r.Host)
		delete(c.unasked, r.Host)
		if v == weighs && m.elects(r) {
			c.granted[r.Host] = true
		}
	case !c.silent[r.Host]:
		c.silent[r.Host], c.unasked[r.Host] = true, true
	}
}

// again are those to ask once more: the silent ones, and who answered while
// it was claiming itself and holds a lease by now, so that its answer weighs.
func (c *claim) again(table *Table) map[ID]bool {
	whom := maps.Clone(c.silent)
	for id, v := range c.answers {
		if r, _ := table.Get(id); v != weighs && r.State == Held {
			whom[id] = true
		}
	}
	return whom
}

// heard keeps the claim in step with a record that was merged.
func (m *Machine) heard(r Record) {
	if m.claim != nil {
		m.place(m.claim, r)
	}
}

// Waiting says what a host without a lease waits for.
type Waiting struct {
	Subnet    netip.Prefix // under claim; zero when no claim is under way
	Granted   int          // grants by holders so far
	Silent    []ID         // hosts that have not answered the claim or, without a claim, that may hold a lease by now while no host is known to; sorted
	Exhausted bool         // there is no subnet that the host may claim
	Only      netip.Prefix // the one subnet that it may claim, if there is but one
	Lost      []ID         // those of Silent that answered, but have lost earlier promises; sorted
	Oldest    ID           // every host has left, and this one, whose lease is the oldest, must come back first; zero: not so
}

// Waiting returns what the host waits for; meaningless once it holds a lease
// and does not renumber.
func (m *Machine) Waiting() Waiting {
	w := Waiting{Only: m.only()}
	if m.claim == nil {
		_, free := m.candidate(nil)
		w.Exhausted = !free
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

// begin starts an attempt at the next candidate, as a new version of the own
// record: answers to earlier attempts no longer count. A holder keeps what it
// has meanwhile.
func (m *Machine) begin(refused map[netip.Prefix]bool) Output {
	if m.usurped { // what a later self had is in its record
		m.had = Record{}
	}
	m.claim, m.usurped = nil, false
	subnet, ok := m.candidate(refused)
	m.seeks = !m.knowsHolder()
	own := m.Own()
	switch {
	case ok && m.isAlone() && (m.cfg.Founder && !m.lost || own.Age > 0 && own.State != Released):
		// All others are known to have left, or were forgotten here while this
		// host was forgotten there: there is no one to ask, and no one to deny.
		return m.hold(subnet)
	case m.seeks || !ok:
		return m.abandon()
	case own.State == Held && own.Subnet == subnet:
		own.Next = netip.Prefix{}
		own.State = Claiming // usurped: asks for its own again
	case own.State == Held:
		own.Next = subnet
	case own.Subnet == subnet:
		own.State = Claiming
	default:
		if own.Age > 0 && own.State != Released {
			m.had = own
		}
		own = Record{State: Claiming, Subnet: subnet}
	}
	m.claim = m.newClaim(refused)
	return m.write(own).with(m.ask(m.claim.unasked))
}

// abandon makes sure that nothing stays claimed.
func (m *Machine) abandon() Output {
	if m.wish.IsValid() { // told to take what can't be had, it takes no other
		m.wish, m.moves = netip.Prefix{}, false
	}
	own := m.Own()
	switch {
	case own.State == Held && own.Next.IsValid():
		own.Next = netip.Prefix{}
	case own.State == Claiming && own.Age > 0 && m.mayHave(own.Subnet):
		own.State = Left // comes back to it when there is someone to ask
	case own.State == Claiming && own.Age > 0:
		own.State = Forgotten // it is another's by now, and this host may take no other by itself
	case own.State == Claiming && m.had.Age > 0:
		// It reserves nothing: meanwhile others could take what this host had.
		own.State, own.Subnet, own.Age = Forgotten, m.had.Subnet, m.had.Age
	case own.State == Claiming:
		own.State = Released
	default:
		return Output{}
	}
	return m.write(own)
}

// ask sends the claim to some of the electors.
func (m *Machine) ask(whom map[ID]bool) Output {
	message := Message{Claim: &Claim{Record: m.Own(), Digest: m.table.Digest()}}
	var out Output
	for _, id := range slices.SortedFunc(maps.Keys(whom), ID.Compare) {
		out.Send = append(out.Send, Envelope{To: id, Message: message})
	}
	clear(m.claim.unasked)
	return out
}

// decide counts. Electors that answered while claiming themselves are bound by
// their promise and weigh nothing; of all others more must have granted than
// are silent. Electors heard of since the last count are asked.
func (m *Machine) decide() Output {
	if own := m.Own(); !m.grantable(own) { // what this host knows itself is as good as a denial
		m.claim.refused[own.target()] = true
		return m.begin(m.claim.refused)
	}
	granted, silent := len(m.claim.granted), len(m.claim.silent)
	if granted > silent || m.off == majority && granted > 0 {
		return m.hold(m.Own().target())
	}
	return m.ask(m.claim.unasked)
}

// recount looks again after the electors have changed.
func (m *Machine) recount() Output {
	switch {
	case m.claim != nil:
		m.count(m.claim)
		return m.decide()
	case m.seeks:
		return m.Retry()
	}
	return Output{}
}

// elects reports whether a host is asked: it holds a lease, or may by now.
func (m *Machine) elects(r Record) bool {
	return r.Host != m.self && (r.State == Held || r.State == Claiming) && !m.gone(r.Host)
}

// isAlone reports whether no other host is known that holds a lease or may, and
// none that left with an older one: of all that have left, the oldest begins,
// for two that began each by itself would not know what the other grants.
func (m *Machine) isAlone() bool {
	own := m.Own()
	for r := range m.table.All() {
		if m.elects(r) || m.precedes(r, own) {
			return false
		}
	}
	return true
}

// precedes reports whether a host that left must come back before this one.
func (m *Machine) precedes(r, own Record) bool {
	return r.Host != m.self && r.State == Left && !m.gone(r.Host) && (own.Age == 0 || r.compareAge(own) < 0)
}

// oldestLeft returns the host that all others wait for when every host has
// left; the zero ID if someone else can be asked, or no one precedes this host.
func (m *Machine) oldestLeft() ID {
	var oldest Record
	for r := range m.table.All() {
		switch {
		case m.elects(r):
			return ID{}
		case m.precedes(r, m.Own()) && (oldest.Age == 0 || r.compareAge(oldest) < 0):
			oldest = r
		}
	}
	return oldest.Host
}

// unheard returns the hosts whose last record is a claim, if no host is known
// to hold a lease: each may have got what it claimed.
func (m *Machine) unheard() []ID {
	var hosts []ID
	for r := range m.table.All() {
		switch {
		case !m.elects(r):
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
		if r.State == Held && m.elects(r) {
			return true
		}
	}
	return false
}
