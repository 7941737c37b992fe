package gossip

import (
	"bytes"
	"net/netip"
	"reflect"
	"runtime"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
)

func testPackets() []packet {
	r := lease.Record{
		Host: lease.ID{1}, Version: 3, State: lease.Held, Subnet: netip.MustParsePrefix("172.17.42.0/24"), Sequence: 2,
		Name: "h1", Underlay: netip.MustParseAddrPort("192.168.248.139:7946"),
	}
	claim := r
	claim.State, claim.Sequence = lease.Claiming, 0
	renumbers := r
	renumbers.Next = netip.MustParsePrefix("172.17.43.0/24")
	return []packet{
		{},
		{Mesh: "4d35", Records: []lease.Record{r, renumbers}},
		{Mesh: "4d35", Lease: &lease.Message{Claim: &lease.Claim{Record: claim, Digest: 7}}},
		{Mesh: "4d35", Lease: &lease.Message{Answer: &lease.Answer{From: lease.ID{2}, Version: 3, Granted: true, Holder: true, Records: []lease.Record{r}}}},
		{Mesh: "4d35", TableDigest: &tableDigest{From: lease.ID{3}, Digest: 9}},
		{Mesh: "4d35", Ask: &question{From: lease.ID{3}, Number: 9, Patient: true}},
		{Mesh: "4d35", InProgress: 9},
		{Mesh: "4d35", Tell: &reply{Number: 9, Row: encode(testRow())}},
		{Mesh: "4d35", Duplicate: netip.MustParseAddrPort("10.0.0.1:7946"), Uptime: 5},
	}
}

func testRow() mesh.Row {
	return mesh.Row{
		ID: lease.ID{1}, Name: "h1", Underlay: netip.MustParseAddr("10.0.0.1"), Subnet: netip.MustParsePrefix("172.17.42.0/24"),
		Bip: netip.MustParsePrefix("172.17.42.1/24"), MTU: 1462, Version: "v1", Uptime: 5, Drift: 1, Unseen: []string{"the kernel"},
		Cells: []mesh.Cell{{
			Port: "gre43", Peer: lease.ID{2}, Name: "h2", Remote: netip.MustParseAddr("10.0.0.2"), Local: netip.MustParseAddr("10.0.0.1"),
			Type: "gre", Key: 7, Subnet: netip.MustParsePrefix("172.17.43.0/24"), Desired: true, Configured: true, BFD: "init", RemoteBFD: "down",
			Drift: []drift.Drift{{Object: "port gre43 protected", Is: "false", Should: "true", Commands: []string{"ovs-vsctl set port gre43 protected=true"}}},
		}},
	}
}

func TestARowIsDecodedAsItWasEncoded(t *testing.T) {
	if got, err := decodeRow(encode(testRow())); err != nil || !reflect.DeepEqual(got, testRow()) {
		t.Errorf("it became %+v, %v", got, err)
	}
	bad := testRow()
	bad.Cells[0].Error = "\x1b[2J"
	for name, data := range map[string][]byte{"nothing": {}, "an escape sequence": encode(bad), "half a row": encode(testRow())[:50]} {
		if r, err := decodeRow(data); err == nil {
			t.Errorf("%s is taken for %+v", name, r)
		}
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	for _, p := range testPackets() {
		got, err := decodePacket(encode(p))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v became %+v, %v", p, got, err)
		}
	}
}

func TestGarbageIsRefused(t *testing.T) {
	valid := testPackets()[1]
	bad := func(change func(*lease.Record)) []byte {
		p := valid
		p.Records = []lease.Record{valid.Records[0]}
		change(&p.Records[0])
		return encode(p)
	}
	for name, data := range map[string][]byte{
		"nothing":              {},
		"not CBOR":             []byte("hello"),
		"half a packet":        encode(valid)[:20],
		"two packets":          append(encode(valid), encode(valid)...),
		"an array of 2^32":     {0xa1, 0x02, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0},
		"no host":              bad(func(r *lease.Record) { r.Host = lease.ID{} }),
		"version 0":            bad(func(r *lease.Record) { r.Version = 0 }),
		"a version that wraps": bad(func(r *lease.Record) { r.Version = 1 << 63 }),
		"an unknown state":     bad(func(r *lease.Record) { r.State = 99 }),
		"host bits":            bad(func(r *lease.Record) { r.Subnet = netip.MustParsePrefix("172.17.42.1/24") }),
		"an escape sequence":   bad(func(r *lease.Record) { r.Name = "\x1b[2J" }),
		"everywhere":           bad(func(r *lease.Record) { r.Underlay = netip.MustParseAddrPort("0.0.0.0:7946") }),
		"an IPv6 zone":         bad(func(r *lease.Record) { r.Underlay = netip.MustParseAddrPort("[fe80::1%eth0]:7946") }),
		"held, claims nothing": encode(packet{Lease: &lease.Message{Claim: &lease.Claim{Record: valid.Records[0]}}}),
		"nobody asks":          encode(packet{Ask: &question{Number: 1}}),
		"without a number":     encode(packet{Ask: &question{From: lease.ID{1}}}),
		"an answer to none":    encode(packet{Tell: &reply{Row: []byte{1}}}),
		"a long answer":        encode(packet{Tell: &reply{Number: 1, Row: make([]byte, maxRow+1)}}),
		"neither nor":          encode(packet{Lease: &lease.Message{}}),
	} {
		if p, err := decodePacket(data); err == nil {
			t.Errorf("%s is taken for %+v", name, p)
		}
	}
}

// allocates is how many bytes f allocates.
func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzPacket: whatever arrives is refused, or is what a host could have sent;
// reading it takes memory in proportion to its size, and the machine bears it.
func FuzzPacket(f *testing.F) {
	for _, p := range testPackets() {
		f.Add(encode(p))
	}
	f.Add([]byte{0xa1, 0x02, 0x9b, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{0xa1, 0x02, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}) // an empty list
	f.Fuzz(func(t *testing.T, data []byte) {
		var p packet
		var err error
		if got, most := allocates(func() { p, err = decodePacket(data) }), uint64(64<<10+256*len(data)); got > most {
			t.Errorf("%d bytes made it allocate %d", len(data), got)
		}
		if err != nil {
			return
		}
		// An empty list and none are the same to all who read them, and are
		// encoded in the same way: what counts is that the encoding is stable.
		once := encode(p)
		if again, err := decodePacket(once); err != nil || !bytes.Equal(encode(again), once) {
			t.Errorf("%+v is encoded as %+v, %v", p, again, err)
		}
		m := lease.NewMachine(lease.Config{
			Self: lease.ID{9}, Name: "h9", Underlay: netip.MustParseAddrPort("10.0.0.9:7946"), Pool: testSettings.Pool,
		}, nil)
		m.Start()
		m.Merge(p.Records)
		if p.Lease != nil {
			m.Receive(*p.Lease)
		}
		m.Retry()
		if err := lease.ValidateAll(m.Table().Records()); err != nil {
			t.Errorf("the table is no longer valid: %v", err)
		}
	})
}

// FuzzRow: what another host says of itself is refused, or can be judged and
// printed.
func FuzzRow(f *testing.F) {
	f.Add(encode(testRow()))
	f.Add([]byte{0xa1, 0x0f, 0x9a, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r mesh.Row
		var err error
		if got, most := allocates(func() { r, err = decodeRow(data) }), uint64(64<<10+1024*len(data)); got > most {
			t.Errorf("%d bytes made it allocate %d", len(data), got)
		}
		if err != nil {
			return
		}
		if again, err := decodeRow(encode(r)); err != nil || !bytes.Equal(encode(again), encode(r)) {
			t.Errorf("%+v is encoded as %+v, %v", r, again, err)
		}
		view := mesh.View{Self: mesh.Host{ID: lease.ID{9}, Name: "h9"}, Peers: []mesh.Host{{ID: r.ID, Liveness: mesh.Alive}}}
		mesh.Matrix(view, mesh.Survey{Rows: []mesh.Row{r}})
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(encode(meta{Protocol: protocol, Mesh: "4d35", Name: "h1", Pool: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMeta(data)
		if err == nil {
			_ = differences(testSettings.Pool, m.leasePool())
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"host":"01000000000000000000000000000000","mesh":"4d35","records":[{"host":"01000000000000000000000000000000",` +
		`"version":3,"state":"held","subnet":"172.17.42.0/24","age":1,"name":"h1","underlay":"10.0.0.1:7946"}],` +
		`"sightings":{"02000000000000000000000000000000":{"since":"2026-01-01T00:00:00Z","seen":"2026-01-01T00:00:00Z","silent":5}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := decodeState(data)
		if err != nil {
			return
		}
		if st.Host.IsZero() || lease.ValidateAll(st.Records) != nil {
			t.Errorf("taken for a state: %+v", st)
		}
	})
}
