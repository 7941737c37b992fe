package bridge

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

func TestEchoesAreAnswered(t *testing.T) {
	k, from := namespace(t), netip.MustParseAddr("127.0.0.1")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := k.Echo(ctx, from, netip.MustParseAddr("127.0.0.2")); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := k.Echo(short, from, netip.MustParseAddr("127.255.255.255")); err == nil {
		t.Error("a broadcast address answers")
	}
}
