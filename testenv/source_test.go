package testenv

import (
	"net/netip"
	"testing"
)

func TestSeenIsCompleteAfterClose(t *testing.T) {
	Require(t, false)
	here := End{Name: "here", Addr: netip.MustParseAddr("127.0.0.1"), netns: "/proc/self/ns/net"}
	l, err := here.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const sent = 200
	echoes, err := here.Send(t.Context(), l.Addr, sent, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	answered := sent - echoes.Lost()
	if seen := l.Seen()[here.Addr]; answered == 0 || seen < answered {
		t.Errorf("%d of %d answered, and %d seen", answered, sent, seen)
	}
}
