package filter

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// guarded are the lab's rules with a guard: the peer is at peerUnderlay.
func guardedRules() Rules {
	r := meshRules()
	r.Quiet = "br0"
	r.Guard = Guard{
		Bridge: "docker0", Port: "br0", Link: "eth0", Services: []uint16{7946, 9747}, Settled: true, BFD: true,
		Hosts: []netip.Addr{netip.MustParseAddr(hostUnderlay), netip.MustParseAddr(peerUnderlay)},
		Sources: []Source{
			{"02:42:ac:11:2b:01", netip.MustParsePrefix("172.17.43.0/24")},
			{"02:42:ac:11:2b:01", netip.MustParsePrefix(peerUnderlay + "/32")},
		},
	}
	return r
}

// TestGuardsAreReachedAndThenSilent has real nft take each kind of guard and list
// it as gremesh wrote it.
func TestGuardsAreReachedAndThenSilent(t *testing.T) {
	l := filters(t)
	for name, change := range map[string]func(*Guard){
		"userspace datapath":   func(*Guard) {},
		"kernel datapath":      func(g *Guard) { g.Tunnels = []string{"geneve", "gre", "vxlan"} },
		"other tunnels":        func(g *Guard) { g.Tunnels, g.Others = []string{"gre"}, []netip.Addr{netip.MustParseAddr("192.0.2.9")} },
		"another program's":    func(g *Guard) { g.Tunnels, g.Wild = []string{"gre", "vxlan"}, []string{"gre"} },
		"hosts without agents": func(g *Guard) { g.Open = true },
		"a broadcast domain":   func(g *Guard) { g.Domain = true },
		"Docker elsewhere":     func(g *Guard) { g.Settled = false },
		"one service":          func(g *Guard) { g.Services = []uint16{7946} },
		"any device":           func(g *Guard) { g.Link, g.Tunnels = "", []string{"gre"} },
		"IPv6 underlay": func(g *Guard) {
			g.Hosts, g.Sources = []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")}, g.Sources[:1]
			g.Tunnels = []string{"gre"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			here := &lab{t, l.Host}
			want := guardedRules()
			change(&want.Guard)
			here.reach(want)
			more := want
			more.Guard.Sources = append(slices.Clone(want.Guard.Sources), Source{"02:42:ac:11:2c:01", netip.MustParsePrefix("172.17.44.0/24")})
			here.reach(more)
			here.reach(want)
			if listed := Listed(want); !slices.Equal(listed.Guard, here.have().Guard) || !slices.Equal(listed.Quiet, here.have().Quiet) {
				t.Errorf("Listed is not what Observe sees:\n%s", strings.Join(here.have().Guard, "\n"))
			}
			here.reach(Rules{})
		})
	}
}

func TestNewerListingsReadAsOlderOnes(t *testing.T) {
	older := "table inet gremesh {\nchain prerouting {\nip saddr != 0.0.0.0 fib saddr . iif oif missing drop\n}\n}\n"
	newer := strings.Replace(older, "oif missing", "check missing", 1)
	if a, b := parseListing(older), parseListing(newer); !slices.Equal(a, b) {
		t.Errorf("%q, want %q", b, a)
	}
}

func (l *lab) have() State {
	l.Helper()
	have, err := l.Observe(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return have
}

// TestOpeningAddsAndTakesNothingAway: it comes before tunnels, and Diff after.
func TestOpeningAddsAndTakesNothingAway(t *testing.T) {
	before, after := guardedRules(), guardedRules()
	after.Guard.Hosts = []netip.Addr{netip.MustParseAddr(hostUnderlay), netip.MustParseAddr("192.168.248.141")}
	after.Guard.Sources = []Source{{"02:42:ac:11:2c:01", netip.MustParsePrefix("172.17.44.0/24")}}
	after.Guard.Settled = false
	plan := render(Opening(after, Listed(before)))
	for _, want := range []string{
		"add element bridge gremesh peers { 02:42:ac:11:2c:01 . 172.17.44.0/24 }",
		"add element inet gremesh hosts { 192.168.248.141 }",
	} {
		if !strings.Contains(plan, want) {
			t.Errorf("without %q:\n%s", want, plan)
		}
	}
	if strings.Contains(plan, "delete") || strings.Contains(plan, "add rule") || strings.Contains(plan, "chain") {
		t.Errorf("it does more:\n%s", plan)
	}
	if all := Opening(after, State{}); len(all) > 0 {
		t.Errorf("without a table nothing is closed: %s", render(all))
	}
	if all := Opening(before, Listed(before)); len(all) > 0 {
		t.Errorf("nothing is to be opened: %s", render(all))
	}
}

// TestAKernelWithoutTheBridgeFamilyLetsPeersIn: nothing marks what comes from
// them, so nothing may be held against sources.
func TestAKernelWithoutTheBridgeFamilyLetsPeersIn(t *testing.T) {
	for _, c := range Diff(guardedRules(), State{MissingFamilies: []string{"bridge"}}) {
		for _, command := range c.Commands {
			if strings.Contains(command, "prerouting") && strings.Contains(command, "ip saddr != 172.17.42.0/24 drop") || strings.Contains(command, "missing drop") {
				t.Errorf("drops what peers send: %s", command)
			}
		}
	}
}

// manyPeers are rules for a mesh of that size.
func manyPeers(n int) Rules {
	r := guardedRules()
	r.Guard.Hosts, r.Guard.Sources = nil, nil
	for i := range n {
		at := netip.AddrFrom4([4]byte{10, 90, byte(i >> 8), byte(i)})
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(18 + i>>8), byte(i), 0}), 24)
		mac := fmt.Sprintf("02:42:ac:%02x:%02x:01", 18+i>>8, byte(i))
		r.Guard.Hosts = append(r.Guard.Hosts, at)
		r.Guard.Sources = append(r.Guard.Sources, Source{mac, subnet}, Source{mac, netip.PrefixFrom(at, 32)})
	}
	slices.SortFunc(r.Guard.Sources, Source.Compare)
	return r
}

// BenchmarkOneMoreOfAThousand is one host that joins and leaves again: what a
// pass does, the look before and after it included.
func BenchmarkOneMoreOfAThousand(b *testing.B) {
	if os.Getenv(role) == "" {
		b.Skip("needs root")
	}
	h := New(slog.New(slog.DiscardHandler))
	few, all := manyPeers(999), manyPeers(1000)
	reach := func(want Rules) {
		have, err := h.Observe(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := h.Apply(b.Context(), Diff(want, have)); err != nil {
			b.Fatal(err)
		}
	}
	reach(few)
	for b.Loop() {
		reach(all)
		reach(few)
	}
	reach(Rules{})
}

// BenchmarkNothingToDoForAThousand is a pass that finds all as it should be.
func BenchmarkNothingToDoForAThousand(b *testing.B) {
	want := manyPeers(1000)
	have := Listed(want)
	for b.Loop() {
		if len(Diff(want, have)) > 0 {
			b.Fatal("a difference")
		}
	}
}
