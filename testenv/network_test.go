package testenv_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

var (
	north = netip.MustParsePrefix("10.90.0.0/24")
	south = netip.MustParsePrefix("10.90.1.0/24")
)

func TestRouterIsBetweenTheSubnets(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3, Subnets: []netip.Prefix{north, south}, Outside: true})
	ctx := t.Context()
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	for h, want := range map[*testenv.Host]string{h1: "10.90.0.1", h2: "10.90.1.2", h3: "10.90.0.3"} {
		if h.Addr.String() != want {
			t.Errorf("%s has %s, want %s", h.Name, h.Addr, want)
		}
		source, err := testenv.Source(within(t, 10*time.Second), h.End(), l.Outside())
		if err != nil || source != h.Addr {
			t.Errorf("the outside sees %s at %s: %v", h.Name, source, err)
		}
	}
	eachPair(t, l, reaches)

	// The router tells of what does not fit towards the south.
	must(t, h1.Ping(ctx, "", h2.Addr, 1500))
	must(t, l.RouterMTU(ctx, south, 1400))
	if err := h1.Ping(ctx, "", h2.Addr, 1401); err == nil || !strings.Contains(err.Error(), "+1 errors") {
		t.Errorf("1401 bytes over a link of 1400: %v", err)
	}
	if cached := run(t, h1, "ip", "route", "get", h2.Addr.String()); !strings.Contains(cached, " mtu 1400 ") {
		t.Errorf("h1 has not been told of the MTU: %s", cached)
	}
	must(t, h1.Ping(ctx, "", h2.Addr, 1400))
	must(t, h1.Ping(ctx, "", h3.Addr, 1500))
	must(t, l.RouterMTU(ctx, south, 0))

	must(t, l.Cut(ctx, h1, h2))
	must(t, reachesNot(h1, h2))
	must(t, reaches(h1, h3))
	must(t, l.Heal(ctx))
	must(t, reaches(h2, h1))
}

func TestProtocolIsFilteredOneWay(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3, Subnets: []netip.Prefix{north, south}})
	ctx := t.Context()
	h1 := l.Host(1)
	for _, other := range l.Hosts()[1:] { // beyond the router, and beside h1
		// Pings from h1 are lost; UDP is not.
		must(t, l.Filter(ctx, h1, other, "icmp"))
		must(t, l.Filter(ctx, h1, other, "gre"))
		must(t, reachesNot(h1, other))
		received := icmpIn(t, h1)
		must(t, reachesNot(other, h1)) // h1 hears it, and its answer is lost
		if icmpIn(t, h1) == received {
			t.Errorf("%s to h1 is filtered too", other.Name)
		}
		echoes := exchange(t, h1.End(), other.End(), 10)
		if echoes.Lost() != 0 || echoes.Sources[h1.Addr] != 10 {
			t.Errorf("UDP from h1 to %s: %+v", other.Name, echoes)
		}
	}
	must(t, l.Heal(ctx))
	eachPair(t, l, reaches)
	if err := l.Filter(ctx, h1, l.Host(2), "ipip"); err == nil {
		t.Error("an unknown protocol is filtered")
	}
}

func TestJumboUnderlayAndSecondNIC(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 2, MTU: 9000, Second: netip.MustParsePrefix("10.91.0.0/24"), Outside: true})
	ctx := t.Context()
	h1, h2 := l.Host(1), l.Host(2)
	eachPair(t, l, reaches)
	must(t, h1.Ping(ctx, "", h2.Addr, 9000))
	must(t, testenv.Until(within(t, 10*time.Second), func() error { return h1.Ping(ctx, "", h2.Second, 9000) }))
	must(t, h1.Ping(ctx, "", l.Outside().Addr, 9000))
	source, err := testenv.Source(within(t, 10*time.Second), h1.End(), h2.End().At(h2.Second))
	if err != nil || source != h1.Second {
		t.Errorf("h2's second NIC sees h1 at %s: %v", source, err)
	}
	must(t, l.Cut(ctx, h1, h2)) // on both NICs
	must(t, reachesNot(h1, h2))
	if err := h1.Ping(ctx, "", h2.Second, 0); err == nil {
		t.Error("the second NIC is not cut")
	}
	must(t, l.Heal(ctx))
	must(t, h1.StopOVS(ctx))
	must(t, h1.StartOVS(ctx)) // finds both addresses again
	eachPair(t, l, reaches)
	must(t, testenv.Until(within(t, 10*time.Second), func() error { return h1.Ping(ctx, "", h2.Second, 9000) }))
}

// exchange sends datagrams from one end to a listener at another.
func exchange(t *testing.T, from, to testenv.End, times int) testenv.Echoes {
	t.Helper()
	listener, err := to.Listen(t.Context())
	must(t, err)
	echoes, err := from.Send(t.Context(), listener.Addr, times, time.Millisecond)
	must(t, err)
	must(t, listener.Close()) // after which Seen is complete
	seen := 0
	for _, n := range listener.Seen() {
		seen += n
	}
	if seen != times {
		err = fmt.Errorf("%s has received %d of %d datagrams", to.Name, seen, times)
	}
	must(t, err)
	return echoes
}

// run is a command on a host that must succeed.
func run(t *testing.T, h *testenv.Host, argv ...string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), argv...)
	must(t, err)
	return out
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
