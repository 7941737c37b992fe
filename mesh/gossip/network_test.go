package gossip

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
)

func TestDatagramsAreKeptAndTakeTheirSizeAlone(t *testing.T) {
	open := func(addr string) *network {
		n, err := listen(netip.MustParseAddrPort(addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Shutdown(); err != nil {
				t.Error(err)
			}
		})
		return n
	}
	here, there := open("127.0.77.1:7946"), open("127.0.77.2:7946")
	const many = 100
	var got [many][]byte
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range got {
		if _, err := here.WriteTo(fmt.Appendf(nil, "datagram %d", i), there.at.String()); err != nil {
			t.Fatal(err)
		}
		p := <-there.PacketCh()
		if from := p.From.String(); from != here.at.String() {
			t.Fatalf("it comes from %s", from)
		}
		got[i] = p.Buf
	}
	runtime.ReadMemStats(&after)
	for i, is := range got {
		if want := fmt.Sprintf("datagram %d", i); string(is) != want {
			t.Errorf("%q, want %q", is, want)
		}
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / many; each > 4096 {
		t.Errorf("a datagram takes %d bytes", each)
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.77.3:7946")
	n, err := listen(at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Shutdown() }()
	if _, err := listen(at); err == nil {
		t.Error("two hosts listen at one address")
	}
}
