package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// TestPathProbe breaks what BFD does not meet, and sees what is said of it.
func TestPathProbe(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3}, map[string]any{"metrics.listen": metricsAt})
	inTurn(t, l,
		behaviour{"all paths of a whole mesh are up", pathsAreUp},
		behaviour{"the peer's INPUT chain does not matter", inputDropsDoNotMatter},
		behaviour{"a flow that drops is seen", droppingFlowIsSeen},
		behaviour{"frames with a VLAN tag do not count", taggedPortIsSeen},
		behaviour{"large packets that are lost are seen", lostLargePacketsAreSeen},
		behaviour{"docker0 that is created again is found", newDocker0IsFound},
		behaviour{"alerts fire while Open vSwitch is down", alertsFire},
	)
}

// path is what a host says of its path to another.
func path(t *testing.T, h, to *testenv.Host) mesh.PathStatus {
	t.Helper()
	p := peer(status(t, h), to).Path
	if p == nil {
		t.Fatalf("%s does not probe %s", h.Name, to.Name)
	}
	return *p
}

// scraped tells which of these lines a host's metrics do not have.
func scraped(t *testing.T, h *testenv.Host, lines ...string) error {
	got, err := h.Exec(t.Context(), "busybox", "wget", "-q", "-O", "-", "http://"+metricsAt+"/metrics")
	if err != nil {
		return err
	}
	for _, line := range lines {
		if !strings.Contains(got, line+"\n") {
			return fmt.Errorf("%s: no %s in\n%s", h.Name, line, got)
		}
	}
	return nil
}

// series is a metric of a host's path, or of its tunnel where kind is its type.
func series(name string, to *testenv.Host, kind string, value int) string {
	if kind != "" {
		kind = fmt.Sprintf("type=%q,", kind)
	}
	return fmt.Sprintf(`gremesh_%s{peer=%q,%sunderlay="%s"} %d`, name, to.Name, kind, to.Addr, value)
}

func pathsAreUp(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0, "paths: 2 of 2 up, round trip ", "clean") })
		for _, to := range l.Hosts() {
			if to != h {
				if p := path(t, h, to); !p.Up || p.Since == nil || p.RoundTrip <= 0 || p.RoundTrip > 1 {
					t.Errorf("%s to %s: %+v", h.Name, to.Name, p)
				}
			}
		}
	}
	h1, h2 := l.Host(1), l.Host(2)
	must(t, scraped(t, h1, "gremesh_ovs_up 1", series("path_up", h2, "", 1), series("tunnel_up", h2, "gre", 1)))
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, h1, 0, "6 of 6 directed tunnels up", "round trip ", "loss ")
	})
	out := run(t, h1, "gremesh", "audit", "--mesh", "-o", "json", "--config", h1.ConfigFile())
	var audit mesh.FullAudit
	must(t, json.Unmarshal([]byte(out), &audit))
	for _, tunnel := range audit.Tunnels {
		if tunnel.Path != mesh.PathUp || tunnel.RoundTrip <= 0 {
			t.Errorf("%+v", tunnel)
		}
	}
}

// inputDropsDoNotMatter has h2 drop whatever IP packet comes in by docker0.
func inputDropsDoNotMatter(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h2, "iptables", "-w", "-t", "raw", "-I", "PREROUTING", "-i", "docker0", "-j", "DROP")
	run(t, h2, "sysctl", "-qw", "net.ipv4.conf.docker0.rp_filter=1", "net.ipv4.conf.docker0.arp_filter=1", "net.ipv4.conf.docker0.arp_ignore=1")
	if _, err := h1.Exec(t.Context(), "ping", "-c1", "-W1", status(t, h2).Host.Bip.Addr().String()); err == nil {
		t.Error("a ping is answered")
	}
	before := path(t, h1, h2)
	testenv.Eventually(t, soon, func() error {
		if now := path(t, h1, h2); now.Sent < before.Sent+5 || !now.Up {
			return fmt.Errorf("%+v, was %+v", now, before)
		}
		return nil
	})
	audited(t, h1, 0)
	run(t, h2, "iptables", "-w", "-t", "raw", "-D", "PREROUTING", "-i", "docker0", "-j", "DROP")
	run(t, h2, "sysctl", "-qw", "net.ipv4.conf.docker0.rp_filter=0", "net.ipv4.conf.docker0.arp_filter=0", "net.ipv4.conf.docker0.arp_ignore=0")
}

// pathIsDown tells that the path between h1 and h2 is down for all who look,
// although their tunnel is up.
func pathIsDown(t *testing.T, l *testenv.Lab) {
	t.Helper()
	h1, h2 := l.Host(1), l.Host(2)
	words := fmt.Sprintf("the path to h2 (%s) carries no packets, although its tunnel is up", h2.Addr)
	testenv.Eventually(t, soon, func() error { return problem(t.Context(), h1, words, "gremesh audit") })
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 1, "paths: 1 of 2 up", words) })
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(3), 1, "P tunnel up, path down", "4 of 6 directed tunnels up", "the path between h1 and h2 carries no packets either way")
	})
	testenv.Eventually(t, soon, func() error {
		if s := status(t, l.Host(3)); s.Mesh.TunnelsUp != 4 {
			return fmt.Errorf("%d tunnels are up by the status, 4 by the audit", s.Mesh.TunnelsUp)
		}
		return nil
	})
	must(t, scraped(t, h1, series("tunnel_up", h2, "gre", 1), series("path_up", h2, "", 0)))
	if p, bfd := path(t, h1, h2), peer(status(t, h1), h2).Tunnel.BFD; p.Up || p.Loss == 0 || bfd != "up" {
		t.Errorf("%+v, BFD %s", p, bfd)
	}
}

func pathIsBack(t *testing.T, l *testenv.Lab) {
	t.Helper()
	testenv.Eventually(t, soon, func() error { return auditExit(t, l.Host(1), 0, "paths: 2 of 2 up") })
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, l.Host(3), 0, "6 of 6 directed tunnels up") })
}

func droppingFlowIsSeen(t *testing.T, l *testenv.Lab) {
	h2 := l.Host(2)
	run(t, h2, "ovs-ofctl", "add-flow", "br0", "priority=30000,in_port="+port(t, l.Host(1))+",actions=drop")
	pathIsDown(t, l)
	run(t, h2, "ovs-ofctl", "--strict", "del-flows", "br0", "priority=30000,in_port="+port(t, l.Host(1)))
	pathIsBack(t, l)
}

// taggedPortIsSeen has h2 tag what comes from h1, so that it reaches docker0
// with a tag, or not at all.
func taggedPortIsSeen(t *testing.T, l *testenv.Lab) {
	h2 := l.Host(2)
	flow := "priority=30000,in_port=" + port(t, l.Host(1))
	run(t, h2, "ovs-ofctl", "add-flow", "br0", flow+",actions=mod_vlan_vid:7,LOCAL")
	pathIsDown(t, l)
	run(t, h2, "ovs-ofctl", "--strict", "del-flows", "br0", flow)
	pathIsBack(t, l)
}

func lostLargePacketsAreSeen(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	must(t, l.FilterLarge(t.Context(), h1, h2, 1400))
	words := fmt.Sprintf("only small packets pass the path to h2 (%s)", h2.Addr)
	testenv.Eventually(t, soon, func() error { return problem(t.Context(), h1, words) })
	audited(t, h1, 1, words)
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(3), 1, "m up, but only small packets pass", "5 of 6 directed tunnels up", "only small packets pass from h1 to h2")
	})
	must(t, scraped(t, h1, series("path_up", h2, "", 1), series("path_full_size_up", h2, "", 0)))
	must(t, l.Heal(t.Context()))
	pathIsBack(t, l)
}

func newDocker0IsFound(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	before := path(t, h2, h1)
	run(t, h2, "ip", "link", "del", "docker0")
	testenv.Eventually(t, soon, func() error {
		if now := path(t, h2, h1); now.Sent < before.Sent+2 || !now.Up {
			return fmt.Errorf("%+v, was %+v", now, before)
		}
		return nil
	})
	pathIsBack(t, l)
}

// alertsFire is the last: h1's Open vSwitch is gone after it. The kernel's datapath
// still carries the packets of flows that it has, and so the path stays up there.
func alertsFire(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	passes := 0
	if l.Datapath() == "system" {
		passes = 1
	}
	fire := func() error {
		return scraped(t, h1, "gremesh_ovs_up 0", series("tunnel_up", h2, "gre", 0), series("path_up", h2, "", passes))
	}
	must(t, h1.KillVswitchd(t.Context()))
	testenv.Eventually(t, soon, fire)
	must(t, h1.StopOVS(t.Context()))
	testenv.Eventually(t, soon, fire)
}
