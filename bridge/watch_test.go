package bridge

import (
	"context"
	"testing"
	"time"
)

func TestWatchNetworkTellsOfOtherProgramsChanges(t *testing.T) {
	namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	wakes, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- WatchNetwork(ctx, func() {
			select {
			case wakes <- struct{}{}: // until somebody receives it, no notification is read
			case <-ctx.Done():
			}
		})
	}()
	awake := func(by string) {
		t.Helper()
		select {
		case <-wakes:
		case <-time.After(5 * time.Second):
			t.Fatalf("no wake after %s", by)
		}
		for {
			select {
			case <-wakes:
			case <-time.After(300 * time.Millisecond):
				return
			}
		}
	}
	awake("start")
	sh(t, "tap eth1; ip link set eth1 up")
	awake("a new device")
	sh(t, "ip route add 172.17.43.0/24 dev eth1 proto 77")
	select {
	case <-wakes:
		t.Error("gremesh's own route wakes")
	case <-time.After(200 * time.Millisecond):
	}
	sh(t, "ip -6 addr add fd07::1/64 dev eth1 nodad")
	awake("an IPv6 address")
	// 20,000 routes at once overflow the socket's buffer.
	sh(t, `i=0; while [ $i -lt 20000 ]; do echo "route add 10.$((i/256)).$((i%256)).0/24 dev eth1"; i=$((i+1)); done | ip -batch -`)
	awake("a flood")
	sh(t, "ip addr add 192.0.2.1/24 dev eth1")
	awake("an address after the flood")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("WatchNetwork: %v", err)
	}
}
