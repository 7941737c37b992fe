package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestUnderlaysOfMoreOrLess has an underlay that takes more than most, and one
// that takes no GRE. Docker has no part in it.
func TestUnderlaysOfMoreOrLess(t *testing.T) {
	l := startMesh(t, testenv.Config{
		Hosts: 3, MTU: 9000,
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24"), netip.MustParsePrefix("10.90.1.0/24")},
	}, map[string]any{"metrics.listen": metricsAt})
	inTurn(t, l,
		behaviour{"a jumbo underlay gives a jumbo docker0", jumbo},
		behaviour{"GRE filtered one way is named at both ends", func(t *testing.T, l *testenv.Lab) { filteredIsNamed(t, l, "gets to") }},
		behaviour{"GRE filtered both ways is named at both ends", func(t *testing.T, l *testenv.Lab) { filteredIsNamed(t, l, "from") }},
	)
}

// jumbo knows what GRE leaves of 9000 bytes.
func jumbo(t *testing.T, l *testenv.Lab) {
	const mtu = 8958
	for _, h := range l.Hosts() {
		for _, dev := range []string{"docker0", "br0"} {
			if link := run(t, h, "ip", "-o", "link", "show", dev); !strings.Contains(link, fmt.Sprintf(" mtu %d ", mtu)) {
				t.Errorf("%s: want MTU %d: %s", h.Name, mtu, link)
			}
		}
	}
	for _, to := range l.Hosts()[1:] { // beyond the router, and in the same subnet
		must(t, l.Host(1).Ping(t.Context(), "", status(t, to).Host.Bip.Addr(), mtu))
	}
}

// filteredIsNamed filters what goes from the first host to the second and, if
// the first is to hear nothing "from" it, the way back too.
func filteredIsNamed(t *testing.T, l *testenv.Lab, first string) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	must(t, l.Filter(ctx, h1, h2, "gre"))
	if first == "from" {
		must(t, l.Filter(ctx, h2, h1, "gre"))
	}
	testenv.Eventually(t, soon, func() error {
		return problem(ctx, h1, "no GRE "+first, h2.Addr.String(), "IP protocol 47")
	})
	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, "no GRE from", h1.Addr.String(), "IP protocol 47") })
	for _, pair := range [][2]*testenv.Host{{h1, h2}, {h2, h1}} {
		h, to := pair[0], pair[1]
		audited(t, h, 0, "no GRE", to.Addr.String(), "allow IP protocol 47")
		scraped := run(t, h, "busybox", "wget", "-q", "-O", "-", "http://"+metricsAt+"/metrics")
		if want := fmt.Sprintf(`gremesh_tunnel_filtered{peer=%q,type="gre",underlay="%s"} 1`, to.Name, to.Addr); !strings.Contains(scraped, want+"\n") {
			t.Errorf("%s: no %s in\n%s", h.Name, want, scraped)
		}
	}
	noProblems(t, h3)
	must(t, l.Heal(ctx))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
}
