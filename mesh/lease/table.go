package lease

import (
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// Table is the set of records that a host knows, one for each host. The zero
// Table is not usable: call [NewTable].
type Table struct {
	records   map[ID]Record
	occupants map[netip.Prefix][]ID // the hosts that occupy each subnet
	digest    uint64                // see Digest
	sequences sequences
	version   uint64 // the greatest version of all records
	ended     int    // number of records that are Released or Forgotten
	// history holds the merged records in their order. Later records in it may
	// replace earlier ones.
	history []Record
}

// NewTable returns a table of the given records. Of several records of one
// host, the table keeps the one with the highest version.
func NewTable(records ...Record) *Table {
	t := &Table{records: make(map[ID]Record, len(records)), occupants: make(map[netip.Prefix][]ID)}
	for _, r := range records {
		t.Merge(r)
	}
	return t
}

// Merge stores r if it is newer than the table's record of the same host. It
// reports whether it stored r.
func (t *Table) Merge(r Record) bool {
	old, ok := t.records[r.Host]
	if ok && (old.Version >= r.Version || old == r) {
		return false
	}
	if ok {
		t.digest ^= t.fingerprint(old)
		t.index(old, func(ids []ID) []ID { return slices.DeleteFunc(ids, func(id ID) bool { return id == r.Host }) })
	}
	if ok && old.ended() {
		t.ended--
	}
	if r.ended() {
		t.ended++
	}
	t.records[r.Host] = r
	t.digest ^= t.fingerprint(r)
	t.index(r, func(ids []ID) []ID { return append(ids, r.Host) })
	t.sequences.add(r.Sequence)
	t.version = max(t.version, r.Version)
	t.history = append(t.history, r)
	if len(t.history) > 2*len(t.records)+16 {
		t.history = t.Records()
	}
	return true
}

// drop removes a record, as if the table had never had a record of its host.
func (t *Table) drop(r Record) {
	t.digest ^= t.fingerprint(r)
	t.index(r, func(ids []ID) []ID { return slices.DeleteFunc(ids, func(id ID) bool { return id == r.Host }) })
	delete(t.records, r.Host)
	if r.ended() {
		t.ended--
	}
}

// recount computes the summary of all records again, after some were dropped.
func (t *Table) recount() {
	t.sequences, t.version, t.history = sequences{stale: true}, 0, t.Records()
	for r := range t.All() {
		t.version = max(t.version, r.Version)
	}
}

// index changes the list of occupants of each subnet that r occupies.
func (t *Table) index(r Record, change func([]ID) []ID) {
	for _, subnet := range []netip.Prefix{r.Subnet, r.Next} {
		if !r.has(subnet) {
			continue
		}
		if ids := change(t.occupants[subnet]); len(ids) > 0 {
			t.occupants[subnet] = ids
		} else {
			delete(t.occupants, subnet)
		}
	}
}

// Get returns the record of a host. ok is false if the table has none.
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

// unsortedRecords returns records that give the receiver everything that this
// table knows. It costs constant time. In exchange, some of the records may be
// outdated by later ones in the same slice. The slice is shared: the caller
// must not change it.
func (t *Table) unsortedRecords() []Record { return slices.Clip(t.history) }

// Digest returns a checksum of the records. It is the same for two tables with
// the same versions of the same hosts. For other tables it almost certainly
// differs. Records that are Released or Forgotten do not count, because a table
// may drop them.
func (t *Table) Digest() uint64 { return t.digest }

// Occupants yields the records that occupy subnet.
func (t *Table) Occupants(subnet netip.Prefix) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, id := range t.occupants[subnet] {
			if !yield(t.records[id]) {
				return
			}
		}
	}
}

// Conflict is a pair of leases of one subnet. It can follow from a partition
// that ended, a restored disk image, or two operators who fixed the same
// address.
type Conflict struct{ Winner, Loser Record }

// Conflicts returns every lease that loses a conflict, with its winner, sorted
// by the loser's ID. It ignores hosts for which counts returns false. So a host
// that nobody has ever met takes no subnet from a real host. If counts is nil,
// all hosts count.
func (t *Table) Conflicts(counts func(ID) bool) []Conflict {
	var conflicts []Conflict
	for subnet, ids := range t.occupants {
		if len(ids) < 2 {
			continue
		}
		var held []Record
		for r := range t.Occupants(subnet) {
			if r.State == Held && r.Subnet == subnet && (counts == nil || counts(r.Host)) {
				held = append(held, r)
			}
		}
		slices.SortFunc(held, Record.compareSequence)
		for i := 1; i < len(held); i++ {
			conflicts = append(conflicts, Conflict{Winner: held[0], Loser: held[i]})
		}
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return a.Loser.Host.Compare(b.Loser.Host) })
	return conflicts
}

// fingerprint returns a checksum of one version of one host's record. The
// digest combines fingerprints by exclusive or, so each one must look random.
// Otherwise the changes of two hosts could cancel each other, and the digest
// would stay the same.
func (t *Table) fingerprint(r Record) uint64 {
	if r.ended() {
		return 0
	}
	high, low := binary.BigEndian.Uint64(r.Host[:8]), binary.BigEndian.Uint64(r.Host[8:])
	return mix(high ^ mix(low^mix(r.Version)))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
