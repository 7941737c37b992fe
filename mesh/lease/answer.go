package lease

import "slices"

// Receive handles a message from another host. The caller must have validated
// it.
func (m *Machine) Receive(msg Message) Effects {
	switch {
	case msg.Claim != nil:
		return m.receiveClaim(*msg.Claim)
	case msg.Removal != nil:
		return m.receiveRemoval(*msg.Removal)
	case msg.Consent != nil:
		return m.receiveConsent(*msg.Consent)
	}
	return m.receiveAnswer(*msg.Answer)
}

// receiveClaim answers a claim. It grants the claim unless another host's
// record conflicts with it. Merging the claim's record is the promise. The
// promise binds this host even if its grant has no weight.
func (m *Machine) receiveClaim(c Claim) Effects {
	claimant := c.Record.Host
	if claimant == m.self {
		return Effects{}
	}
	if !m.acceptable(c.Record, m.bounds()) {
		return Effects{Refused: []Record{c.Record}}
	}
	var out Effects
	known, _ := m.table.Get(claimant)
	granted := known.Version <= c.Record.Version && m.grantable(c.Record)
	if granted && m.table.Merge(c.Record) {
		out.Changed = true
		m.heard(c.Record)
		m.updateRemoval()
		for _, r := range slices.Collect(m.table.Occupants(c.Record.target())) {
			if m.expired[r.Host] && r.Host != claimant { // if r's host comes back now, it must ask for its subnet again
				out.Add(m.forget(r))
			}
		}
	}
	if known, _ = m.table.Get(claimant); known != c.Record {
		granted = false // the stored record is the promise: without it there is no promise
	}
	answer := &Answer{From: m.self, Version: c.Record.Version, Granted: granted, Holder: m.active && m.Holds(), Lost: m.unsure()}
	switch {
	case m.table.Digest() == c.Digest:
	case answer.Holder:
		answer.Records = m.table.unsortedRecords()
	case !granted: // send the reason, so that the claimant tries another subnet
		answer.Records = slices.Collect(m.table.Occupants(c.Record.target()))
	}
	out.Send = append(out.Send, Envelope{To: claimant, Message: Message{Answer: answer}})
	if out.Changed && m.claim != nil {
		out.Add(m.decide())
	}
	return out
}

// grantable reports whether no record that this host knows conflicts with a
// claim. A host may come back to a lease that never ended. A mere claim by
// another host does not prevent that, because such a claim cannot have stood
// beside the lease.
func (m *Machine) grantable(claim Record) bool {
	known, _ := m.table.Get(claim.Host)
	comesBack := known.occupies() && known.Sequence != 0 && known.Sequence == claim.Sequence && known.Subnet == claim.target()
	for r := range m.table.Occupants(claim.target()) {
		switch {
		case r.Host == claim.Host, m.gone(r.Host):
		case comesBack && r.State == Claiming && r.Sequence == 0:
		default:
			return false
		}
	}
	return true
}

func (m *Machine) receiveAnswer(a Answer) Effects {
	version := m.Own().Version
	out := m.Merge(a.Records)
	own := m.Own()
	if m.claim == nil || a.Version != own.Version || version != own.Version {
		return out
	}
	if !a.Granted {
		m.claim.refused[own.target()] = true
		return out.with(m.begin(m.claim.refused))
	}
	m.claim.answers[a.From] = voteFor(a)
	if r, ok := m.table.Get(a.From); ok {
		m.claim.version[a.From] = r.Version
		m.classify(m.claim, r)
	}
	return out.with(m.decide())
}
