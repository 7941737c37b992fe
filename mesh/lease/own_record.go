package lease

import "net/netip"

// mergeOwn merges a record of this host that other hosts sent, and that this
// host did not write or has forgotten writing. There are three cases:
//
//   - Other hosts have begun to forget this host. It is running, so it answers
//     with a later version.
//   - Other hosts have forgotten this host. It asks for its lease again.
//   - The record is any other later version of its own. Either this host was
//     restored from an old copy, or a clone of it is running, or a member lies.
//     A process that has taken its lease itself knows that the record is wrong.
//     It answers with a later version. Any other process asks for its lease
//     again, and counts as silent until it has it.
//
// The record never moves the host to another subnet, because its containers
// have addresses of the old one. If the host cannot have the old subnet any
// more, its state becomes Forgotten. It then takes no other subnet by itself.
func (m *Machine) mergeOwn(r Record) Effects {
	before := m.Own()
	if !m.table.Merge(r) {
		return Effects{}
	}
	m.heard(r)
	out := Effects{Changed: true}
	had := before.Sequence > 0 && before.State != Released
	switch {
	case r.Doomed && had && r.Version <= before.Version+dooming,
		m.sure && m.active && r.State != Forgotten && before.State == Held:
		m.reassertClaim(before, &out)
		return out
	case r.State != Forgotten || r.Version > before.Version+dooming+forgetting:
		m.lost = true
	}
	m.superseded = true
	other := had && (r.Subnet != before.Subnet || r.State == Released || r.Sequence == 0)
	if other {
		r.State, r.Subnet, r.Sequence, r.Next = Forgotten, before.Subnet, before.Sequence, netip.Prefix{}
	}
	if other || m.lost { // this must survive a crash
		out.Add(m.write(r))
	}
	return out
}

// reassertClaim writes this host's previous record again, as a later version.
// If a claim is under way, it starts the claim again, because answers name the
// version of the claim's record.
func (m *Machine) reassertClaim(before Record, out *Effects) {
	out.Add(m.write(before))
	if m.claim != nil {
		out.Add(m.begin(m.claim.refused))
	}
}

// unsure reports whether this host may have forgotten promises that it made.
// That is the case if it has lost its state, or if it has not met the mesh
// since its start.
func (m *Machine) unsure() bool { return m.lost || !m.active }
