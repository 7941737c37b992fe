package lease

import "slices"

// leap is the largest distance by which a version or a sequence number may
// exceed the known ones. A host raises its version by 1 at each change. Other
// hosts raise it by [forgetting] when they forget the host. So no honest record
// reaches this bound. A hostile member needs 2^28 messages to reach maxCount.
const leap = 1 << 32

// limit returns the largest number of records that a table for a pool keeps.
// It is four for each subnet, at least 1024 and at most mostRecords. A mesh has
// at most one holder for each subnet. The other records are claims, and hosts
// that have left.
func (p Pool) limit() int { return min(max(4*p.Len(), 1<<10), mostRecords) }

// bounds limits one batch of records, which is what one message of a member may
// change. The limits are computed before the batch is merged. So a message with
// many records can raise versions and sequence numbers no further than a
// message with one record.
type bounds struct {
	first    bool          // this host knows no other host: the batch is the mesh's own table
	versions map[ID]uint64 // of the hosts in the batch, as known before it
	version  uint64        // the greatest known version, used for unknown hosts
	sequence uint64
}

func (m *Machine) bounds() bounds {
	_, self := m.table.records[m.self]
	return bounds{
		first: len(m.table.records) == 0 || len(m.table.records) == 1 && self, versions: make(map[ID]uint64),
		version: m.table.version, sequence: m.table.lastSequence(),
	}
}

// acceptable reports whether the table may take a record. It refuses a record
// of another pool, and a record for which there is no room. It also refuses a
// version or a sequence number that is beyond the limits in b. It always
// refuses one that is so high that a host could not continue from it.
func (m *Machine) acceptable(r Record, b bounds) bool {
	if r.Version >= maxCount/2 || r.Sequence >= maxCount/2 ||
		r.occupies() && !m.cfg.Pool.Contains(r.Subnet) || r.Next.IsValid() && !m.cfg.Pool.Contains(r.Next) {
		return false
	}
	known, ok := m.table.Get(r.Host)
	if b.first {
		return m.table.hasRoom(ok, m.cfg.Pool.limit())
	}
	before := known.Version
	if !ok {
		before = b.version
	}
	if _, ok := b.versions[r.Host]; !ok {
		b.versions[r.Host] = before
	}
	version := b.versions[r.Host]
	if r.Host == m.self {
		// If this host accepts such a version, it continues with a later one.
		// The other hosts must still accept that later one.
		return r.Version <= version+leap/2 && r.Sequence <= b.sequence+leap && m.table.hasRoom(ok, m.cfg.Pool.limit())
	}
	return r.Version <= version+leap && r.Sequence <= b.sequence+leap && m.table.hasRoom(ok, m.cfg.Pool.limit())
}

// hasRoom reports whether the table can take a record of one more host. With
// known set, the table already has a record of the host. A full table drops
// ended records until limit/2 of them are left, if it has more.
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

// collect drops ended records until at most keep of them are left. It drops
// released records first, then forgotten ones. Among records of one state it
// drops the lowest version first. A dropped host that comes back brings its own
// record.
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

// Purge erases the traces of a bad record of a host: the record itself, and its
// effect on the sequence number of the next lease. The result's Changed reports
// whether there was such a record. The caller must check that the host has no
// right to a subnet, or that no host has ever met it.
//
// Purge keeps the version, so that other hosts do not bring the record back. It
// does not keep a version that is more than leap above all others, because
// [Machine.Merge] refuses that version from then on.
func (m *Machine) Purge(host ID) Effects {
	r, ok := m.table.Get(host)
	if !ok || host == m.self {
		return Effects{}
	}
	m.table.drop(r)
	m.table.recount()
	if r.Version <= m.table.version+leap {
		m.table.Merge(Record{Host: r.Host, Version: r.Version, State: Released, Name: r.Name, Underlay: r.Underlay})
	}
	return Effects{Changed: true}.with(m.recount())
}
