package lease

import "net/netip"

// Waiting says what a host without a lease waits for.
type Waiting struct {
	Subnet    netip.Prefix // under claim; zero when no claim is under way
	Granted   int          // grants by holders so far
	Silent    []ID         // who has not answered, sorted
	Exhausted bool         // every subnet is taken, or the fixed one is
	By        Record       // who has the fixed one
}

// Waiting returns what the host waits for; meaningless once it holds a lease.
func (m *Machine) Waiting() Waiting {
	var w Waiting
	if m.claim == nil {
		if _, ok := m.candidate(nil); !ok {
			w.Exhausted = true
			w.By, _ = m.table.Against(m.self, m.cfg.Fixed)
		}
		return w
	}
	own, _ := m.Own()
	w.Subnet = own.Subnet
	for _, id := range m.electors() {
		if holder, ok := m.claim.answers[id]; !ok {
			w.Silent = append(w.Silent, id)
		} else if holder {
			w.Granted++
		}
	}
	return w
}

// begin starts an attempt at the next candidate, as a new version of the own
// record: answers to earlier attempts no longer count. With no one to ask, or
// nothing left to ask for, it makes sure that nothing stays claimed.
func (m *Machine) begin(refused map[netip.Prefix]bool) Output {
	m.claim = nil
	subnet, ok := m.candidate(refused)
	m.seeks = !m.knowsHolder()
	if !ok || m.seeks {
		if own, _ := m.Own(); own.State == Claiming || own.State == Held {
			return m.write(Released, own.Subnet, own.Age)
		}
		return Output{}
	}
	own, _ := m.Own()
	age := own.Age
	if own.Subnet != subnet {
		age = 0
	}
	m.claim = &claim{asked: make(map[ID]bool), answers: make(map[ID]bool), refused: refused}
	out := m.write(Claiming, subnet, age)
	out.Add(m.ask())
	return out
}

func (m *Machine) knowsHolder() bool {
	for r := range m.table.All() {
		if r.Host != m.self && r.State == Held {
			return true
		}
	}
	return false
}

// ask sends the claim to every elector that it has not been sent to.
func (m *Machine) ask() Output {
	own, _ := m.Own()
	message := Message{Claim: &Claim{Record: own, Digest: m.table.Digest()}}
	var out Output
	for _, id := range m.electors() {
		if !m.claim.asked[id] {
			m.claim.asked[id] = true
			out.Send = append(out.Send, Envelope{To: id, Message: message})
		}
	}
	return out
}

// decide counts. Electors that answered while claiming themselves are bound by
// their promise and weigh nothing; of all others more must have granted than
// are silent. Electors heard of since the last count are asked.
func (m *Machine) decide() Output {
	granted, silent := 0, 0
	for _, id := range m.electors() {
		if holder, ok := m.claim.answers[id]; !ok {
			silent++
		} else if holder {
			granted++
		}
	}
	if granted <= silent {
		return m.ask()
	}
	own, _ := m.Own()
	m.claim = nil
	age := own.Age // of a lease that the host comes back to
	if age == 0 {
		age = m.table.nextAge()
	}
	return m.write(Held, own.Subnet, age)
}
