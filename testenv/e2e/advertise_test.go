package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestSeveralNICs has hosts that can be reached on either of two networks.
func TestSeveralNICs(t *testing.T) {
	second := netip.MustParsePrefix("10.91.0.0/24")
	l := start(t, testenv.Config{Hosts: 2, Second: second})
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	noRaces(t, l)
	dev := "br-phy2"
	if underlayDevice() == "eth0" {
		dev = "eth1"
	}

	must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "node.advertise": ""}))
	refused(t, h1, "node.advertise", "several addresses", h1.Addr.String(), h1.Second.String()+" ("+dev+")")
	must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "node.advertise": "10.92.0.0/24"}))
	refused(t, h1, "node.advertise", "no underlay address in 10.92.0.0/24")
	run(t, h1, "ip", "address", "add", "10.91.0.101/24", "dev", dev)
	must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "node.advertise": second.String()}))
	refused(t, h1, "node.advertise", "several addresses in 10.91.0.0/24", h1.Second.String(), "10.91.0.101")
	run(t, h1, "ip", "address", "del", "10.91.0.101/24", "dev", dev)

	must(t, h1.StartAgent(ctx))
	// The route to the seed leads by the second network: nothing is guessed.
	must(t, h2.WriteConfig(map[string]any{"mesh.join": []string{h1.Second.String()}, "node.advertise": ""}))
	must(t, h2.StartAgent(ctx))
	for _, h := range []*testenv.Host{h1, h2} {
		testenv.Eventually(t, soon, func() error {
			s, err := h.Status(ctx)
			if err != nil {
				return err
			}
			if s.Host.Underlay != h.Second || s.Mesh.TunnelsUp != 2 {
				return fmt.Errorf("%s is at %s, and %d tunnels are up", h.Name, s.Host.Underlay, s.Mesh.TunnelsUp)
			}
			return nil
		})
		if options := run(t, h, "ovs-vsctl", "--bare", "--columns=options", "find", "interface", "type=gre"); !strings.Contains(options, "local_ip="+h.Second.String()+" ") {
			t.Errorf("%s: want local_ip=%s: %s", h.Name, h.Second, options)
		}
	}

	run(t, h1, "ip", "address", "add", "10.91.0.101/24", "dev", dev)
	testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "several addresses", "10.91.0.101", "node.advertise") })
	if at := status(t, h1).Host.Underlay; at != h1.Second {
		t.Errorf("the underlay is %s, want %s: in doubt it stays", at, h1.Second)
	}
	run(t, h1, "ip", "address", "del", "10.91.0.101/24", "dev", dev)
	testenv.Eventually(t, soon, func() error {
		if s := status(t, h1); len(s.Problems) > 0 && strings.Contains(s.Problems[0].What, "several") {
			return fmt.Errorf("problems remain: %+v", s.Problems)
		}
		return nil
	})
}
