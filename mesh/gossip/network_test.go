package gossip

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

func TestDatagramsAreKeptAndTakeTheirSizeAlone(t *testing.T) {
	open := func(addr string) *network {
		n, err := listen(networkConfig{at: netip.MustParseAddrPort(addr)})
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
	n, err := listen(networkConfig{at: at})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Shutdown() }()
	if _, err := listen(networkConfig{at: at}); err == nil {
		t.Error("two hosts listen at one address")
	}
}

// A host whose agent is stopped takes connections all the same, and no more than
// fits its buffers.
func TestAMessageToAHostThatReadsNothingIsGivenUp(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "it listens", func() bool { return h1.View().Mesh != "" })
	stopped, err := net.Listen("tcp", tm.address(2).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stopped.Close() }()
	sent := make(chan struct{})
	go func() {
		h1.sendReliably(lease.ID{2}, tm.address(2), make([]byte, 64<<20))
		close(sent)
	}()
	select {
	case <-sent:
	case <-time.After(3 * streamLimit):
		t.Errorf("it hangs after %s", 3*streamLimit)
		_ = stopped.Close() // which ends it
	}
}
