package lease

import (
	"encoding/binary"
	"testing"
)

// What one message of a hostile member may do is bounded.

func forged(r Record, change func(*Record)) Record {
	change(&r)
	return r
}

// version: a record of h2 that nobody could go on from.
func TestAVersionFarBeyondTheKnownOneIsRefused(t *testing.T) {
	for _, by := range []uint64{1 << 60, leap + 1} {
		net := newTestNet(t, 3)
		m := net.machines[ID{1}]
		own := net.machines[ID{2}].Own()
		bad := forged(own, func(r *Record) { r.State, r.Version = Forgotten, min(own.Version+by, maxCount/2-1) })
		out := m.Merge([]Record{bad})
		if r, _ := m.Table().Get(ID{2}); r != own || len(out.Refused) != 1 {
			t.Errorf("a record %d versions ahead was taken: %+v", by, r)
		}
		// One message with many records goes no further than one record.
		m.Merge([]Record{
			forged(own, func(r *Record) { r.Version += leap }), forged(own, func(r *Record) { r.Version += 2 * leap }),
		})
		if r, _ := m.Table().Get(ID{2}); r.Version > own.Version+leap {
			t.Errorf("one message raised the version by %d", r.Version-own.Version)
		}
	}
	net := newTestNet(t, 3)
	bad := forged(net.machines[ID{2}].Own(), func(r *Record) { r.State, r.Version = Forgotten, r.Version+leap/2 })
	for _, m := range net.machines {
		net.deliver(m.Merge([]Record{bad}))
	}
	net.deliver(net.machines[ID{2}].Retry())
	wantOwn(t, net.machines[ID{2}], Held, testSubnet(2)) // it goes on from there
}

// age: a record that makes the next lease's age one that nobody takes.
func TestAnAgeFarBeyondTheKnownOnesIsRefused(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{1}]
	for _, age := range []uint64{maxCount/2 - 1, 3 + leap + 1} {
		out := m.Merge([]Record{{Host: ID{66}, Version: 1, State: Left, Subnet: testSubnet(66), Age: age, Name: "x", Underlay: testConfig(66).Underlay}})
		if _, ok := m.Table().Get(ID{66}); ok || len(out.Refused) != 1 {
			t.Errorf("an age of %d was taken", age)
		}
	}
	newcomer := net.boot(9, net.disk(1))
	wantOwn(t, newcomer, Held, testSubnet(9))
	for _, other := range net.machines {
		other.Merge([]Record{newcomer.Own()})
		if r, _ := other.Table().Get(ID{9}); r.State != Held {
			t.Errorf("to %v the newcomer is %s", other.self, r.State)
		}
	}
}

// steal: held records without an age, or of hosts that nobody has ever met.
func TestInventedHoldersTakeNoSubnet(t *testing.T) {
	bad := testRecord(0, Held, testSubnet(1), 0)
	bad.Host = ID{15: 1}
	if err := bad.Validate(); err == nil {
		t.Error("a held record of age 0 is valid")
	}
	bad.Age = 1 // and the lowest ID
	table := NewTable(testRecord(1, Held, testSubnet(1), 1), bad)
	if conflicts := table.Conflicts(func(id ID) bool { return id != bad.Host }); len(conflicts) != 0 {
		t.Errorf("a host that nobody has met takes a subnet: %+v", conflicts)
	}
}

// move: h2's own record, with another subnet.
func TestAForgedOwnRecordMovesNoHost(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"held":      func(r *Record) { r.Subnet = testSubnet(77) },
		"claiming":  func(r *Record) { r.Subnet, r.State = testSubnet(77), Claiming },
		"left":      func(r *Record) { r.Subnet, r.State = testSubnet(77), Left },
		"released":  func(r *Record) { r.Subnet, r.State, r.Age = testSubnet(77), Released, 0 },
		"forgotten": func(r *Record) { r.Subnet, r.State = testSubnet(77), Forgotten },
	} {
		net := newTestNet(t, 5)
		fresh := net.boot(9, net.disk(1)) // has taken its lease itself
		for i, m := range map[byte]*Machine{2: net.machines[ID{2}], 9: fresh} {
			bad := forged(m.Own(), func(r *Record) { r.Version += 50; change(r) })
			net.deliver(m.Merge([]Record{bad}))
			wantOwn(t, m, Held, testSubnet(i))
			if t.Failed() {
				t.Fatalf("after a forged record that is %s", name)
			}
		}
	}
	// Its subnet is taken meanwhile: it takes no other by itself.
	net := newTestNet(t, 3)
	m := net.machines[ID{2}]
	net.deliver(m.Merge([]Record{
		forged(m.Own(), func(r *Record) { r.Version += 50; r.Subnet = testSubnet(77) }), testRecord(8, Held, testSubnet(2), 4),
	}))
	wantOwn(t, m, Forgotten, testSubnet(2))
}

// bloat: more records than a mesh can have hosts.
func TestTheTableIsBounded(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{1}]
	for message := range 3 {
		var records []Record
		for i := range 20000 {
			r := testRecord(9, Released, testSubnet(0), 0)
			binary.BigEndian.PutUint64(r.Host[8:], uint64(message*20000+i+1))
			records = append(records, r)
		}
		m.Merge(records)
	}
	if n, limit := len(m.table.records), testSpace.limit(); n > limit || len(m.table.history) > 2*limit+16 {
		t.Errorf("the table has %d records and a history of %d, limit %d", n, len(m.table.history), limit)
	}
	for i := byte(1); i <= 3; i++ {
		if r, _ := m.Table().Get(ID{i}); r.State != Held {
			t.Errorf("the record of h%d was dropped", i)
		}
	}
	wantOwn(t, net.boot(9, net.disk(1)), Held, testSubnet(9))
	// Records that hold subnets are bounded as well, and the refusal is told.
	var records []Record
	for i := range 4 * testSpace.limit() {
		r := testRecord(9, Held, testSubnet(byte(i)), 1)
		binary.BigEndian.PutUint64(r.Host[:8], uint64(i+1)<<8)
		records = append(records, r)
	}
	if out := m.Merge(records); len(m.table.records) > testSpace.limit() || len(out.Refused) == 0 {
		t.Errorf("the table has %d records; %d refused", len(m.table.records), len(out.Refused))
	}
}

func TestPurgeErasesWhatABadRecordHasLeft(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{1}]
	bad := testRecord(66, Left, testSubnet(66), 1<<31)
	m.Merge([]Record{bad})
	digest := m.Table().Digest()
	if m.table.age != 1<<31 || !m.occupied(testSubnet(66)) {
		t.Fatal("the bad record was not taken")
	}
	net.deliver(m.Purge(ID{66}))
	if m.table.age != 3 || m.occupied(testSubnet(66)) || m.Table().Digest() == digest {
		t.Errorf("after the purge: age %d, subnet occupied %t", m.table.age, m.occupied(testSubnet(66)))
	}
	m.Merge([]Record{bad})
	if m.occupied(testSubnet(66)) {
		t.Error("the record came back")
	}
	if out := m.Purge(ID{1}); out.Changed {
		t.Error("a host purged itself")
	}
}
