package lease

import (
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// Table is the set of records that a host knows, one per host. The zero Table
// is not usable; see [NewTable].
type Table struct {
	records map[ID]Record
	by      map[netip.Prefix][]ID // the hosts that occupy a subnet
	digest  uint64
	ages    ages
	version uint64 // the greatest of all
	ended   int    // records of hosts that released their subnet or were forgotten
	history []Record
	off     rule // none, but in the test of the simulation
}

// NewTable returns a table of the given records; of several of one host, the
// highest version.
func NewTable(records ...Record) *Table {
	t := &Table{records: make(map[ID]Record, len(records)), by: make(map[netip.Prefix][]ID)}
	for _, r := range records {
		t.Merge(r)
	}
	return t
}

// Merge takes r when it is newer than what the table has of its host, and
// reports whether it did.
func (t *Table) Merge(r Record) bool {
	old, ok := t.records[r.Host]
	if ok && (old.Version >= r.Version && t.off != higherVersion || old == r) {
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
	t.ages.add(r.Age)
	t.version = max(t.version, r.Version)
	t.history = append(t.history, r)
	if len(t.history) > 2*len(t.records)+16 {
		t.history = t.Records()
	}
	return true
}

// drop removes a record, as if its host had never been heard of.
func (t *Table) drop(r Record) {
	t.digest ^= t.fingerprint(r)
	t.index(r, func(ids []ID) []ID { return slices.DeleteFunc(ids, func(id ID) bool { return id == r.Host }) })
	delete(t.records, r.Host)
	if r.ended() {
		t.ended--
	}
}

// recount works out again what follows from all records, after some were dropped.
func (t *Table) recount() {
	t.ages, t.version, t.history = ages{stale: true}, 0, t.Records()
	for r := range t.All() {
		t.version = max(t.version, r.Version)
	}
}

func (t *Table) index(r Record, change func([]ID) []ID) {
	for _, subnet := range []netip.Prefix{r.Subnet, r.Next} {
		if !r.has(subnet) {
			continue
		}
		if ids := change(t.by[subnet]); len(ids) > 0 {
			t.by[subnet] = ids
		} else {
			delete(t.by, subnet)
		}
	}
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

// news returns records from which a host that merges them knows all that this
// table knows. It costs nothing: some may be outdated by later ones in it, and
// the slice is shared, to be read only.
func (t *Table) news() []Record { return slices.Clip(t.history) }

// Digest is the same for two tables that know the same versions of the same
// hosts, and almost surely differs otherwise. Hosts that released their subnet
// or were forgotten do not count: a table may drop their records.
func (t *Table) Digest() uint64 { return t.digest }

// Occupants yields the records that keep subnet from being anyone else's.
func (t *Table) Occupants(subnet netip.Prefix) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, id := range t.by[subnet] {
			if !yield(t.records[id]) {
				return
			}
		}
	}
}

// Conflict is two leases of one subnet: of a healed partition, a restored disk
// image, or two operators' fixed addresses.
type Conflict struct{ Winner, Loser Record }

// Conflicts returns every loser of a conflict with its winner, sorted by the
// loser's ID. Only hosts that count take part: a host that nobody has ever met
// takes no subnet from one that is there. A nil counts means all.
func (t *Table) Conflicts(counts func(ID) bool) []Conflict {
	var conflicts []Conflict
	for subnet, ids := range t.by {
		if len(ids) < 2 {
			continue
		}
		var held []Record
		for r := range t.Occupants(subnet) {
			if r.State == Held && r.Subnet == subnet && (counts == nil || counts(r.Host)) {
				held = append(held, r)
			}
		}
		slices.SortFunc(held, Record.compareAge)
		for i := 1; i < len(held); i++ {
			conflicts = append(conflicts, Conflict{Winner: held[0], Loser: held[i]})
		}
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return a.Loser.Host.Compare(b.Loser.Host) })
	return conflicts
}

// fingerprint stands for one version of one host's record. Fingerprints are
// combined by exclusive or, so that each must look random: those of two
// versions must not differ in a way that those of another host's may, too.
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
