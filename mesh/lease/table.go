package lease

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// Table is the set of records that a host knows, one per host. The zero Table
// is not usable; see [NewTable].
type Table struct {
	records map[ID]Record
	digest  uint64
}

// NewTable returns a table of the given records; of several of one host, the
// highest version.
func NewTable(records ...Record) *Table {
	t := &Table{records: make(map[ID]Record, len(records))}
	for _, r := range records {
		t.Merge(r)
	}
	return t
}

// Merge takes r when it is newer than what the table has of its host, and
// reports whether it did.
func (t *Table) Merge(r Record) bool {
	old, ok := t.records[r.Host]
	if ok && old.Version >= r.Version {
		return false
	}
	if ok {
		t.digest ^= fingerprint(old)
	}
	t.digest ^= fingerprint(r)
	t.records[r.Host] = r
	return true
}

// Get returns what the table has of a host.
func (t *Table) Get(host ID) (Record, bool) {
	r, ok := t.records[host]
	return r, ok
}

// All yields the records in no particular order.
func (t *Table) All() iter.Seq[Record] { return maps.Values(t.records) }

// Records returns a copy of the records, sorted by host ID.
func (t *Table) Records() []Record {
	return slices.SortedFunc(t.All(), func(a, b Record) int { return a.Host.Compare(b.Host) })
}

// Digest is the same for two tables that know the same versions of the same
// hosts, and almost surely differs otherwise.
func (t *Table) Digest() uint64 { return t.digest }

// Against returns a record of a host other than self that keeps subnet from
// being anyone else's, the one with the lowest ID if there are several.
func (t *Table) Against(self ID, subnet netip.Prefix) (Record, bool) {
	var found Record
	for r := range t.All() {
		if r.Host != self && r.occupies() && r.Subnet.Overlaps(subnet) &&
			(found.Host.IsZero() || r.Host.Compare(found.Host) < 0) {
			found = r
		}
	}
	return found, !found.Host.IsZero()
}

// Conflict is two leases of one subnet: of a healed partition, a restored disk
// image, or two operators' fixed addresses.
type Conflict struct{ Winner, Loser Record }

// Conflicts returns every loser of a conflict with its winner, sorted by the
// loser's ID. A lease that has itself lost takes none from others.
func (t *Table) Conflicts() []Conflict {
	var held []Record
	for r := range t.All() {
		if r.State == Held {
			held = append(held, r)
		}
	}
	slices.SortFunc(held, func(a, b Record) int {
		if a.Older(b) {
			return -1
		}
		return 1
	})
	winners := make(map[netip.Addr]Record, len(held)) // by the first address of their subnet
	var conflicts []Conflict
	for _, r := range held {
		if winner, taken := winners[r.Subnet.Addr()]; taken {
			conflicts = append(conflicts, Conflict{Winner: winner, Loser: r})
			continue
		}
		winners[r.Subnet.Addr()] = r
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return a.Loser.Host.Compare(b.Loser.Host) })
	return conflicts
}

// nextAge is the age of a lease taken now: greater than any known.
func (t *Table) nextAge() uint64 {
	var age uint64
	for r := range t.All() {
		age = max(age, r.Age)
	}
	return age + 1
}

// fingerprint stands for one version of one host's record.
func fingerprint(r Record) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64(r.Host[:], r.Version))
	return h.Sum64()
}
