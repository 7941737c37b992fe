package lease

import "slices"

// leap is how far a version or an age may lie beyond the ones that are known.
// A host raises its version by 1 at each change and by [forgetting] when it is
// forgotten, so no honest record gets there. A hostile member needs 2^28
// messages to reach maxCount.
const leap = 1 << 32

// limit is the greatest number of records that a table for a space keeps: four
// for each subnet. A mesh has at most one holder for each subnet, and the rest
// are claims, and hosts that have left.
func (s Space) limit() int { return min(max(4*s.Len(), 1<<10), mostRecords) }

// bounds are the limits for one batch of records: how far a member's message
// may go. They are taken before the batch, so that one message with many
// records goes no further than one with a single record.
type bounds struct {
	first    bool          // nothing is known of any other host: the batch is the mesh's own table
	versions map[ID]uint64 // of the hosts in the batch, before it
	version  uint64        // the greatest of all, for hosts that are not known
	age      uint64
}

func (m *Machine) bounds() bounds {
	_, self := m.table.records[m.self]
	return bounds{
		first: len(m.table.records) == 0 || len(m.table.records) == 1 && self, versions: make(map[ID]uint64),
		version: m.table.version, age: m.table.lastAge(),
	}
}

// acceptable keeps records out of the table that belong to another pool, that
// count so high that a host could not go on from them, or for which there is
// no room.
func (m *Machine) acceptable(r Record, b bounds) bool {
	if r.Version >= maxCount/2 || r.Age >= maxCount/2 ||
		r.occupies() && !m.cfg.Space.Contains(r.Subnet) || r.Next.IsValid() && !m.cfg.Space.Contains(r.Next) {
		return false
	}
	known, ok := m.table.Get(r.Host)
	if b.first {
		return m.table.hasRoom(ok, m.cfg.Space.limit())
	}
	version, seen := b.versions[r.Host]
	if !seen {
		if version = known.Version; !ok {
			version = b.version
		}
		b.versions[r.Host] = version
	}
	if r.Host == m.self {
		// The host goes on from such a version, and others must accept that.
		return r.Version <= version+leap/2 && r.Age <= b.age+leap && m.table.hasRoom(ok, m.cfg.Space.limit())
	}
	return r.Version <= version+leap && r.Age <= b.age+leap && m.table.hasRoom(ok, m.cfg.Space.limit())
}

// hasRoom reports whether a record of a host, which may be known, still fits.
// If the table is full, records of hosts that have gone make room.
func (t *Table) hasRoom(known bool, limit int) bool {
	if known || len(t.records) < limit {
		return true
	}
	if t.ended <= limit/2 {
		return false
	}
	t.collect(limit / 2)
	return len(t.records) < limit
}

// collect drops records that no longer matter, until at most keep hosts that
// have gone are left: first released ones, then forgotten ones, each by
// descending distance from being needed, which is the lowest version first. A
// dropped host that comes back brings its own record.
func (t *Table) collect(keep int) {
	var ended []Record
	for r := range t.All() {
		if r.ended() {
			ended = append(ended, r)
		}
	}
	if len(ended) <= keep {
		return
	}
	slices.SortFunc(ended, func(a, b Record) int {
		switch {
		case a.State != b.State && a.State == Released:
			return -1
		case a.State != b.State:
			return 1
		case a.Version != b.Version && a.Version < b.Version:
			return -1
		case a.Version != b.Version:
			return 1
		}
		return a.Host.Compare(b.Host)
	})
	for _, r := range ended[:len(ended)-keep] {
		t.drop(r)
	}
	t.recount()
}

// Purge erases what a bad record has left of a host: the record itself, and its
// effect on the age of the next lease. It reports whether there was one. Only a
// host that no longer has a right to a subnet, or that no one has ever met, may
// be purged: its owner sees to that.
//
// The version stays known, so that the record does not come back from other
// hosts, unless it lies so far beyond all others that [Machine.Merge] refuses
// it from now on.
func (m *Machine) Purge(host ID) Output {
	r, ok := m.table.Get(host)
	if !ok || host == m.self {
		return Output{}
	}
	m.table.drop(r)
	m.table.recount()
	if r.Version <= m.table.version+leap {
		m.table.Merge(Record{Host: r.Host, Version: r.Version, State: Released, Name: r.Name, Underlay: r.Underlay})
	}
	return Output{Changed: true}.with(m.recount())
}
