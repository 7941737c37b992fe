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

// sequence number: a record that makes the next lease's sequence number one
// that nobody takes.
func TestASequenceFarBeyondTheKnownOnesIsRefused(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{1}]
	for _, seq := range []uint64{maxCount/2 - 1, 3 + leap + 1} {
		out := m.Merge([]Record{{Host: ID{66}, Version: 1, State: Left, Subnet: testSubnet(66), Sequence: seq, Name: "x", Underlay: testConfig(66).Underlay}})
		if _, ok := m.Table().Get(ID{66}); ok || len(out.Refused) != 1 {
			t.Errorf("an age of %d was taken", seq)
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

// sequence number: the high sequence numbers go to a newcomer only, so that its
// own lease would have a sequence number that the others refuse.
func TestAHighSequenceToldToOneHostDoesNotSetItApart(t *testing.T) {
	hostile := func(i int, seq uint64) Record {
		r := testRecord(66, Left, testSubnet(byte(100+i%100)), seq)
		binary.BigEndian.PutUint64(r.Host[8:], uint64(i))
		return r
	}
	for name, attack := range map[string]func(m *Machine){
		"one record, before it knows the mesh": func(m *Machine) { m.Merge([]Record{hostile(1, maxCount/4)}) },
		"many messages, each as far as the bounds let it": func(m *Machine) {
			for i := range 100 {
				m.Merge([]Record{hostile(i, m.table.lastSequence()+leap)})
			}
		},
		"a full table, each age as far as it still counts": func(m *Machine) {
			for i := range testPool.limit() - 8 {
				m.Merge([]Record{forged(hostile(i, m.table.lastSequence()+sequenceStep), func(r *Record) { r.State = Forgotten })})
			}
		},
	} {
		net := newTestNet(t, 3)
		m := NewMachine(testConfig(9), nil)
		net.machines[ID{9}] = m
		if name[0] == 'o' {
			attack(m)
			m.Merge(net.disk(1))
		} else {
			m.Merge(net.disk(1))
			attack(m)
		}
		net.deliver(m.Start())
		wantOwn(t, m, Held, testSubnet(9))
		for i := byte(1); i <= 3; i++ {
			net.machines[ID{i}].Merge([]Record{m.Own()})
			if r, _ := net.machines[ID{i}].Table().Get(ID{9}); r.State != Held {
				t.Errorf("%s: to h%d the newcomer with age %d is %s", name, i, m.Own().Sequence, r.State)
			}
		}
	}
}

// Which sequence numbers count does not depend on the order in which they come.
func TestASequenceCountsWhenItContinuesTheOrder(t *testing.T) {
	for _, test := range []struct {
		sequences []uint64
		want      uint64
	}{
		{nil, 0},
		{[]uint64{0, 0}, 0},
		{[]uint64{1, 2, 3}, 3},
		{[]uint64{1 << 40}, 1 << 40}, // the mesh is old, or nothing else is known
		{[]uint64{1, 1 << 40}, 1},
		{[]uint64{1, 1 + sequenceStep, 1 + 2*sequenceStep}, 1 + 2*sequenceStep},
		{[]uint64{1, 2 + sequenceStep}, 1},
		{[]uint64{7, 1 << 40, 7 + sequenceStep, 1<<40 + 1}, 7 + sequenceStep},
	} {
		for turn := range max(len(test.sequences), 1) {
			table := NewTable()
			for i := range test.sequences {
				seq := test.sequences[(i+turn)%len(test.sequences)]
				state := Held
				if seq == 0 {
					state = Claiming
				}
				table.Merge(testRecord(byte(seq%251+1), state, testSubnet(byte(i)), seq))
				if turn%2 == 1 {
					table.lastSequence()
				}
			}
			if got := table.lastSequence(); got != test.want {
				t.Errorf("of %v from %d on: %d, want %d", test.sequences, turn, got, test.want)
			}
		}
	}
}

// steal: held records without a sequence number, or of hosts that nobody has
// ever met.
func TestInventedHoldersTakeNoSubnet(t *testing.T) {
	bad := testRecord(0, Held, testSubnet(1), 0)
	bad.Host = ID{15: 1}
	if err := bad.Validate(); err == nil {
		t.Error("a held record of age 0 is valid")
	}
	bad.Sequence = 1 // and the lowest ID
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
		"released":  func(r *Record) { r.Subnet, r.State, r.Sequence = testSubnet(77), Released, 0 },
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
	for name, change := range map[string]func(*Record){
		"another subnet": func(r *Record) { r.Subnet = testSubnet(77) },
		"no age":         func(r *Record) { r.State, r.Sequence = Forgotten, 0 },
	} {
		net := newTestNet(t, 3)
		m := net.machines[ID{2}]
		bad := forged(m.Own(), func(r *Record) { r.Version += 50; change(r) })
		net.deliver(m.Merge([]Record{bad, testRecord(8, Held, testSubnet(2), 4)}))
		if own := m.Own(); own.State != Forgotten || own.Subnet != testSubnet(2) {
			t.Errorf("a forged record with %s: it has %+v", name, own)
		}
	}
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
	if n, limit := len(m.table.records), testPool.limit(); n > limit || len(m.table.history) > 2*limit+16 {
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
	for i := range 4 * testPool.limit() {
		r := testRecord(9, Held, testSubnet(byte(i)), 1)
		binary.BigEndian.PutUint64(r.Host[:8], uint64(i+1)<<8)
		records = append(records, r)
	}
	if out := m.Merge(records); len(m.table.records) > testPool.limit() || len(out.Refused) == 0 {
		t.Errorf("the table has %d records; %d refused", len(m.table.records), len(out.Refused))
	}
}

func TestPurgeErasesWhatABadRecordHasLeft(t *testing.T) {
	net := newTestNet(t, 3)
	m := net.machines[ID{1}]
	bad := testRecord(66, Left, testSubnet(66), 1<<15)
	m.Merge([]Record{bad})
	digest := m.Table().Digest()
	if m.table.lastSequence() != 1<<15 || !m.occupied(testSubnet(66)) {
		t.Fatal("the bad record was not taken")
	}
	net.deliver(m.Purge(ID{66}))
	if m.table.lastSequence() != 3 || m.occupied(testSubnet(66)) || m.Table().Digest() == digest {
		t.Errorf("after the purge: age %d, subnet occupied %t", m.table.lastSequence(), m.occupied(testSubnet(66)))
	}
	m.Merge([]Record{bad})
	if m.occupied(testSubnet(66)) {
		t.Error("the record came back")
	}
	if out := m.Purge(ID{1}); out.Changed {
		t.Error("a host purged itself")
	}
}
