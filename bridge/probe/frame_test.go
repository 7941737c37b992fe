package probe

import (
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/gremesh/gremesh/bridge"
)

var (
	self  = netip.MustParseAddr("172.17.42.1")
	other = netip.MustParseAddr("172.17.43.1")
)

// reply is what the kernel of a peer answers.
func reply(from, to netip.Addr) []byte {
	frame := make([]byte, arpEnd)
	mac, ip := bridge.MAC(from), from.As4()
	copy(frame, bridge.MAC(to))
	copy(frame[6:], mac)
	frame[etherType], frame[etherType+1] = 8, 6
	copy(frame[arpStart:], fixed)
	frame[arpOperation+1] = operReply
	copy(frame[arpSenderMAC:], mac)
	copy(frame[arpSenderIP:], ip[:])
	copy(frame[arpTargetMAC:], bridge.MAC(to))
	return frame
}

func TestRequestsAreFramesOfTheSizeThatIsAsked(t *testing.T) {
	for size, want := range map[int]int{0: 60, 46: 60, 1462: 1476} {
		if n := len(request(self, other, size)); n != want {
			t.Errorf("size %d: %d bytes, want %d", size, n, want)
		}
	}
}

func TestAnAnswerHasAllItsAddresses(t *testing.T) {
	good := reply(other, self)
	if peer, ok := parse(good, self); !ok || peer != other {
		t.Fatalf("%s %t", peer, ok)
	}
	for i := range arpEnd {
		bad := reply(other, self)
		bad[i] ^= 1
		_, ok := parse(bad, self)
		if free := i >= arpTargetIP; ok != free {
			t.Errorf("byte %d differs: %t", i, ok)
		}
	}
	for n := range arpEnd {
		if _, ok := parse(good[:n], self); ok {
			t.Errorf("%d bytes are an answer", n)
		}
	}
	if _, ok := parse(request(other, self, 0), self); ok {
		t.Error("a request is an answer")
	}
}

// The extensions, which the virtual machine does not know, are tested in a
// namespace.
func TestTheFilterPassesAnswersAlone(t *testing.T) {
	program, err := filter(self)
	if err != nil {
		t.Fatal(err)
	}
	if len(program) != 14 {
		t.Fatalf("%d instructions: the jumps count on 14", len(program))
	}
	list, _ := bpf.Disassemble(program)
	list[8], list[10] = bpf.LoadConstant{Val: 0}, bpf.LoadConstant{Val: 0}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		frame []byte
		pass  bool
	}{
		"an answer":        {reply(other, self), true},
		"one to another":   {reply(self, other), false},
		"a request":        {request(other, self, 0), false},
		"another protocol": {append(append([]byte{}, reply(other, self)[:etherType]...), make([]byte, 60)...), false},
		"a short frame":    {reply(other, self)[:arpOperation], false},
	} {
		if n, err := vm.Run(c.frame); err != nil || (n > 0) != c.pass {
			t.Errorf("%s: %d %v", name, n, err)
		}
	}
}

// FuzzParseAnswer takes whatever comes by the socket.
func FuzzParseAnswer(f *testing.F) {
	f.Add(reply(other, self))
	f.Add(request(self, other, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if peer, ok := parse(b, self); ok && !peer.Is4() {
			t.Error(peer)
		}
	})
}
