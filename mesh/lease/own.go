package lease

import "net/netip"

// mergeOwn takes a record of this host that this host did not write, or that it
// has forgotten writing.
//
//   - Others begin to forget it. It is running, so it answers with a later version.
//   - Others have forgotten it. It asks for its lease again.
//   - Anything else is a later version of its own: it was restored from an old
//     copy, a clone of it is running, or a member lies. A process that has taken
//     its lease itself knows better, and answers with a later version. Any other
//     asks for its lease again, and counts as silent until it has it.
//
// The record never moves the host to another subnet than the one it had,
// because its containers have addresses of that one. If it cannot have it any
// more, it is Forgotten, and takes no other subnet by itself.
func (m *Machine) mergeOwn(r Record) Output {
	before := m.Own()
	if !m.table.Merge(r) {
		return Output{}
	}
	m.heard(r)
	out := Output{Changed: true}
	had := before.Age > 0 && before.State != Released
	switch {
	case r.Doomed && had && r.Version <= before.Version+dooming,
		m.sure && m.active && m.off != higherVersion && r.State != Forgotten && before.State == Held:
		m.keepClaim(before, &out)
		return out
	case r.State != Forgotten || r.Version > before.Version+dooming+forgetting:
		m.lost = m.lost || m.off != recall
	}
	m.usurped = true
	other := had && (r.Subnet != before.Subnet || r.State == Released)
	if other {
		r.State, r.Subnet, r.Age, r.Next = Forgotten, before.Subnet, before.Age, netip.Prefix{}
	}
	if other || m.lost { // which must outlast a crash
		out.Add(m.write(r))
	}
	return out
}

// keepClaim writes the record that this host had as a later version. A claim
// under way begins again, because answers name its version.
func (m *Machine) keepClaim(before Record, out *Output) {
	out.Add(m.write(before))
	if m.claim != nil {
		out.Add(m.begin(m.claim.refused))
	}
}

// unsure reports whether this host may have forgotten promises that it made: it
// has lost its state, or has not met the mesh since its start.
func (m *Machine) unsure() bool { return m.off != recall && (m.lost || !m.active) }
