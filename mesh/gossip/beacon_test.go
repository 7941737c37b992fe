package gossip

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"github.com/gremesh/gremesh/mesh/lease"
)

func testBeacon() beacon {
	return beacon{Number: [16]byte{7}, ID: lease.ID{1}, Name: "h1", Mesh: "4d35", Underlay: netip.MustParseAddrPort("10.0.0.1:7946")}
}

func TestABeaconIsReadWithItsKeyAlone(t *testing.T) {
	a, b := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	for name, c := range map[string]struct {
		sealed, opened [][]byte
		ok             bool
	}{
		"the same key":              {[][]byte{a}, [][]byte{a}, true},
		"the second of two keys":    {[][]byte{a}, [][]byte{b, a}, true},
		"another key":               {[][]byte{a}, [][]byte{b}, false},
		"no key, to one with a key": {nil, [][]byte{a}, false},
		"a key, to one without":     {[][]byte{a}, nil, false},
		"no key at all":             {nil, nil, true},
	} {
		got, err := openBeacon(c.opened, testBeacon().seal(c.sealed))
		if (err == nil) != c.ok || c.ok && !reflect.DeepEqual(got, testBeacon()) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	packet := testBeacon().seal([][]byte{a})
	for i := range packet {
		changed := bytes.Clone(packet)
		changed[i] ^= 1
		if got, err := openBeacon([][]byte{a}, changed); err == nil {
			t.Fatalf("with byte %d changed it is %+v", i, got)
		}
	}
}

func TestABeaconThatNoHostSendsIsRefused(t *testing.T) {
	for name, change := range map[string]func(*beacon){
		"no ID":       func(b *beacon) { b.ID = lease.ID{} },
		"no name":     func(b *beacon) { b.Name = "" },
		"an escape":   func(b *beacon) { b.Name = "\x1b]0;owned\a" },
		"a long mesh": func(b *beacon) { b.Mesh = string(bytes.Repeat([]byte{'x'}, 600)) },
		"no address":  func(b *beacon) { b.Underlay = netip.AddrPort{} },
		"no port":     func(b *beacon) { b.Underlay = netip.AddrPortFrom(b.Underlay.Addr(), 0) },
	} {
		b := testBeacon()
		change(&b)
		if got, err := openBeacon(nil, b.seal(nil)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// FuzzBeacon: whatever arrives is refused, or is what a host could have sent.
func FuzzBeacon(f *testing.F) {
	f.Add(testBeacon().seal(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := openBeacon(nil, data)
		if err != nil {
			return
		}
		if b.ID.IsZero() || !lease.ValidName(b.Name) || !b.Underlay.IsValid() {
			t.Errorf("taken for a beacon: %+v", b)
		}
		if answer := b.seal(nil); len(answer) > len(data)+64 {
			t.Errorf("%d bytes became %d", len(data), len(answer))
		}
	})
}

func TestSoManyAnswersInASecondAndNoMore(t *testing.T) {
	var r rate
	allowed := 0
	for range 10 * answerRate {
		if r.allow(answerRate) {
			allowed++
		}
	}
	if allowed < answerRate || allowed > 2*answerRate { // a second may end meanwhile
		t.Errorf("%d answers", allowed)
	}
}
