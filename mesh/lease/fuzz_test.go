package lease

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// FuzzMachine feeds several messages to a host that holds a lease which it has
// taken itself. Whatever comes, it keeps its subnet or is forgotten, it never
// grants its own subnet to anyone, and its table stays bounded. A host that was
// forgotten and does not get its subnet back reserves it, in state Left.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 2, 2, 9, 1, 1, 3, 1, 9, 0})
	f.Add([]byte{1, 9, 1, 5, 0, 3, 2, 2, 200, 2, 2, 5, 7, 90, 9, 3, 1, 2, 9, 9})
	f.Add([]byte("$1000X18A028Y000000090010")) // it is forgotten, asks again, and is denied
	f.Add([]byte("$100xX1zA028Y900000090010")) // the record of its removal has no sequence number
	f.Fuzz(func(t *testing.T, script []byte) {
		net := newTestNet(t, 3)
		m := net.boot(9, net.disk(1))
		if !m.Holds() {
			t.Fatal("it has no lease")
		}
		for len(script) >= 5 {
			message, records := fuzzMessage(script[:5], m)
			script = script[5:]
			before := m.Own()
			var out Effects
			if message != nil {
				if message.Validate() != nil {
					continue
				}
				out = m.Receive(*message)
			} else {
				if ValidateAll(records) != nil {
					continue
				}
				out = m.Merge(records)
			}
			own := m.Own()
			if own.Version < before.Version || own.Subnet != before.Subnet || own.Host != m.self {
				t.Fatalf("its record was %+v and is %+v", before, own)
			}
			if own.State == Released || own.State == Left && before.State == Held {
				t.Fatalf("it was %s and became %s", before.State, own.State)
			}
			for _, e := range out.Send {
				if err := e.Message.Validate(); err != nil {
					t.Fatalf("it sends %+v: %v", e.Message, err)
				}
				if a := e.Message.Answer; a != nil && a.Granted && message.Claim.Record.target() == own.Subnet && before.State == Held {
					t.Fatalf("it grants its own subnet: %+v", message.Claim.Record)
				}
			}
			if len(m.table.records) > m.cfg.Pool.limit() {
				t.Fatalf("%d records", len(m.table.records))
			}
			m.Retry()
		}
	})
}

// fuzzMessage makes a message of five bytes: its kind, the host, its state, its
// subnet, and how far its version lies ahead.
func fuzzMessage(b []byte, m *Machine) (*Message, []Record) {
	host := ID{b[1]%12 + 1}
	known, _ := m.table.Get(host)
	r := Record{
		Host: host, Version: known.Version + uint64(b[4])<<(b[4]%40), State: State(b[2]%5 + 1),
		Subnet: testSubnet(b[3] % 16), Sequence: uint64(b[4] % 16), Name: "x", Underlay: testConfig(b[1]).Underlay,
		Lost: b[2]&0x40 != 0, Doomed: b[2]&0x20 != 0,
	}
	if b[2]&0x80 != 0 {
		r.Next = testSubnet(b[4] % 16)
	}
	if r.State == Released {
		r.Subnet, r.Sequence = netip.Prefix{}, 0
	}
	switch b[0] % 5 {
	case 0:
		return nil, []Record{r}
	case 1:
		return &Message{Claim: &Claim{Record: r, Digest: binary.BigEndian.Uint64(append(b[:5:5], 0, 0, 0))}}, nil
	case 2:
		return &Message{Answer: &Answer{From: host, Version: m.Own().Version, Granted: b[3]&1 == 0, Holder: b[3]&2 == 0, Lost: b[3]&4 == 0, Records: []Record{r}}}, nil
	case 3:
		r.Doomed = true
		return &Message{Removal: &Removal{From: ID{b[3]%12 + 1}, Record: r, Final: b[3]&1 == 0}}, nil
	}
	version := r.Version
	if m.removal != nil {
		host, version = m.removal.record.Host, m.removal.record.Version
	}
	return &Message{Consent: &Consent{From: ID{b[1]%12 + 1}, Host: host, Version: version, Final: b[3]&1 == 0, Why: Objection(b[3] % 4), Holder: true, Records: []Record{r}}}, nil
}
