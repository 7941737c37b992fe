package filter

import (
	"net/netip"
	"slices"
	"testing"
)

// TestTunnelPacketsOverIPv6AreTakenFromPeersOnly is the same for an underlay of
// IPv6.
func TestTunnelPacketsOverIPv6AreTakenFromPeersOnly(t *testing.T) {
	const hostAddr, peerAddr, stranger, farEnd = "fd00::1", "fd00::2", "fd00::77", "fd09::9"
	ways := []struct {
		name, where, from string
		passes            bool // with the rules; without, all do
	}{
		{"a peer", "p", peerAddr, true},
		{"a stranger", "p", stranger, false},
		{"the far end of another tunnel", "o", farEnd, true},
		{"a peer's address on another device", "o", peerAddr, false},
		{"a peer's address in a container", "c", peerAddr, false},
		{"a container", "c", "fd01::2", false},
	}
	l := build(t)
	l.sh(`ns=` + namespaceOf("") + `
		ip addr add fd00::1/64 dev eth0 nodad; ip addr add fd01::1/64 dev docker0 nodad; ip addr add fd02::1/64 dev eth1 nodad
		ip -n ${ns}p addr add fd00::2/64 dev eth0 nodad
		ip -n ${ns}c addr add fd01::2/64 dev eth0 nodad; ip -n ${ns}c route add fd00::1 via fd01::1
		ip -n ${ns}o addr add fd02::2/64 dev eth0 nodad; ip -n ${ns}o route add fd00::1 via fd02::1`)
	l.meet(hostAddr)
	r := receive(t, "ip6:47 "+hostAddr, "udp6 ["+hostAddr+"]:4789", "udp6 ["+hostAddr+"]:6081")
	guarded := guardedRules()
	guarded.Guard.Hosts = []netip.Addr{netip.MustParseAddr(hostAddr), netip.MustParseAddr(peerAddr)}
	guarded.Guard.Others = []netip.Addr{netip.MustParseAddr(farEnd)}
	guarded.Guard.Sources = guarded.Guard.Sources[:1] // the other one is of IPv4
	guarded.Guard.Tunnels = slices.Sorted(slices.Values(kinds))
	for _, rules := range []Rules{{}, guarded} {
		l.reach(rules)
		with := map[bool]string{true: "with rules, ", false: "without rules, "}[rules.Guard.Port != ""]
		for _, kind := range kinds {
			text := func(way string) string { return with + kind + " from " + way }
			packet := func(from, name string) string {
				return tunnelPacket(kind, from, hostAddr, []byte(marked+text(name)))
			}
			packets := map[string][]string{}
			for _, w := range ways {
				packets[w.where] = append(packets[w.where], packet(w.from, w.name))
			}
			l.send(packets)
			l.last(r, text("the last"), packet(peerAddr, "the last"))
			for _, w := range ways {
				if got, want := r.has(text(w.name)), w.passes || rules.Guard.Port == ""; got != want {
					t.Errorf("%s: received %v, want %v", text(w.name), got, want)
				}
			}
		}
	}
	l.reach(Rules{})
}
