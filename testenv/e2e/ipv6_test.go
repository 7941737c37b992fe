package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// ipv6Subnets has h1 and h3 in the first, and h2 beyond a router.
var ipv6Subnets = []netip.Prefix{netip.MustParsePrefix("fd00:90::/64"), netip.MustParsePrefix("fd00:91::/64")}

// TestIPv6Underlay has hosts that have no other addresses. Docker has no part in
// it.
func TestIPv6Underlay(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3, Subnets: ipv6Subnets}, map[string]any{"metrics.listen": metricsAt, "tunnel.fallback": []string{"vxlan"}})
	inTurn(t, l,
		behaviour{"there is room for either type", func(t *testing.T, l *testenv.Lab) { overIPv6(t, l, 1430) }},
		behaviour{"GRE filtered one way", func(t *testing.T, l *testenv.Lab) {
			movesToVXLAN(t, l, l.Host(1), l.Host(2), false)
			must(t, l.Heal(t.Context()))
		}},
		behaviour{"GRE over IPv6 has its own overhead", func(t *testing.T, l *testenv.Lab) {
			must(t, l.Form(nil)) // without what was pinned
			restartAgents(t, l, l.Hosts()...)
			reconfigure(t, l, l.Host(2), "tunnel.fallback", "none")
			overIPv6(t, l, 1438)
		}},
		behaviour{"a router of less is found", func(t *testing.T, l *testenv.Lab) {
			must(t, l.RouterMTU(t.Context(), ipv6Subnets[1], 1400))
			restartAgents(t, l, l.Hosts()...)
			overIPv6(t, l, 1338)
		}},
		behaviour{"VXLAN", func(t *testing.T, l *testenv.Lab) {
			must(t, l.RouterMTU(t.Context(), ipv6Subnets[1], 0))
			for _, h := range l.Hosts() { // the kernel remembers for 10 minutes what the router has said
				run(t, h, "ip", "-6", "route", "flush", "cache")
			}
			must(t, l.Form(map[string]any{"node.advertise": underlayDevice()}))
			restartAgents(t, l, l.Hosts()...)
			reconfigure(t, l, l.Host(3), "tunnel.type", "vxlan")
			overIPv6(t, l, 1430)
		}},
	)
}

// overIPv6 knows what the headers leave, and that so much passes.
func overIPv6(t *testing.T, l *testenv.Lab, mtu int) {
	testenv.Eventually(t, soon, func() error {
		for _, h := range l.Hosts() {
			if got := status(t, h).Host.MTU; got != mtu {
				return fmt.Errorf("%s: the MTU is %d, want %d", h.Name, got, mtu)
			}
		}
		return nil
	})
	fullSize(t, l, mtu)
	if types := run(t, l.Host(1), "ovs-vsctl", "--bare", "--columns=type", "find", "interface", "type=gre"); types != "" {
		t.Errorf("a port is GRE over IPv4: %s", types)
	}
	for _, h := range l.Hosts() {
		options := strings.ReplaceAll(run(t, h, "ovs-vsctl", "--bare", "--columns=options", "list", "interface"), `"`, "")
		if strings.Count(options, "local_ip="+h.Addr.String()+" ") != len(l.Hosts())-1 {
			t.Errorf("%s: want local_ip=%s: %s", h.Name, h.Addr, options)
		}
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		noProblems(t, h)
	}
	if df(t, l.Host(1), nil, status(t, l.Host(2)).Host.Bip.Addr(), mtu+1) == nil {
		t.Errorf("more than %d bytes pass", mtu)
	}
}
