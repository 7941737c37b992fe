package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
	"github.com/gremesh/gremesh/testenv"
)

// TestPathIsObserved has two hosts with a bridge of gremesh's own and a third
// whose br0 was there before, with a spanning tree.
func TestPathIsObserved(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	must(t, l.Form(nil))
	run(t, l.Host(3), "ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type="+l.Datapath(), "stp_enable=true")
	must(t, l.StartAgents(t.Context()))
	noRaces(t, l)
	inTurn(t, l,
		behaviour{"spanning tree of another bridge", foreignTreeIsReported},
		behaviour{"settings", settingsAreMended},
		behaviour{"flows of others", foreignFlowsAreReported},
		behaviour{"route inside the pool", routeInsideIsReported},
		behaviour{"dead ovs-vswitchd", deadVswitchdIsNamed},
	)
}

// passes tells that docker0 of one host reaches that of another through the
// tunnel.
func passes(t *testing.T, from, to *testenv.Host) error {
	a, b := status(t, from).Host, status(t, to).Host
	if !a.Bip.IsValid() || !b.Bip.IsValid() {
		return errors.New("no lease yet")
	}
	_, err := from.Exec(t.Context(), "ping", "-c1", "-W1", "-q", "-I", a.Bip.Addr().String(), b.Bip.Addr().String())
	return err
}

func allPass(t *testing.T, l *testenv.Lab) {
	t.Helper()
	for _, from := range l.Hosts() {
		for _, to := range l.Hosts() {
			if from != to {
				testenv.Eventually(t, soon, func() error { return passes(t, from, to) })
			}
		}
	}
}

func foreignTreeIsReported(t *testing.T, l *testenv.Lab) {
	ctx, h3 := t.Context(), l.Host(3)
	const command = "ovs-vsctl set bridge br0 stp_enable=false"
	testenv.Eventually(t, soon, func() error { return problem(ctx, h3, "bridge br0: stp_enable is true", command) })
	testenv.Eventually(t, soon, func() error { return auditExit(t, h3, 1, "stp_enable is true", command) })
	run(t, h3, strings.Fields(command)...)
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h3, 0) })
	allPass(t, l)
}

// settingsAreMended has each setting stop packets, and waits until they pass
// again.
func settingsAreMended(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	name := port(t, h2)
	for _, tt := range []struct {
		damage string
		is     string // a command that prints the setting, and what it must print
		want   string
	}{
		{"ovs-vsctl --no-wait set bridge br0 stp_enable=true", "ovs-vsctl get bridge br0 stp_enable", "false"},
		{"ovs-vsctl --no-wait set bridge br0 rstp_enable=true", "ovs-vsctl get bridge br0 rstp_enable", "false"},
		{"ovs-vsctl --no-wait set-controller br0 tcp:127.0.0.1:1", "ovs-vsctl get bridge br0 controller", "[]"},
		{"ovs-vsctl --no-wait set port " + name + " tag=7", "ovs-vsctl get port " + name + " tag", "[]"},
		{"ovs-vsctl --no-wait set port br0 tag=7", "ovs-vsctl get port br0 tag", "[]"},
		{"ovs-ofctl del-flows br0", "ovs-ofctl --no-stats dump-flows br0 table=0,cookie=0/-1", "priority=0 actions=NORMAL"},
		{"ovs-ofctl mod-port br0 " + name + " no-receive", "ovs-ofctl --no-stats dump-flows br0 table=0,cookie=0/-1", "priority=0 actions=NORMAL"},
		{"sysctl -qw net.ipv4.conf.docker0.forwarding=0", "sysctl -n net.ipv4.conf.docker0.forwarding", "1"},
		{"bridge link set dev br0 isolated on", "true", ""},
	} {
		run(t, h1, strings.Fields(tt.damage)...)
		began := time.Now()
		testenv.Eventually(t, soon, func() error {
			if got := run(t, h1, strings.Fields(tt.is)...); got != tt.want {
				return fmt.Errorf("after %s: %q, want %q", tt.damage, got, tt.want)
			}
			return passes(t, h1, h2)
		})
		t.Logf("%s: mended after %s", tt.damage, time.Since(began).Round(100*time.Millisecond))
	}
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	allPass(t, l)
}

func foreignFlowsAreReported(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	run(t, h1, "ovs-ofctl", "add-flow", "br0", "priority=9,ip,actions=drop")
	testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "priority=9,ip,actions=drop", "ovs-ofctl del-flows br0") })
	audited(t, h1, 1, "priority=9,ip,actions=drop")
	run(t, h1, "ovs-ofctl", "del-flows", "br0")
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	allPass(t, l)
}

func routeInsideIsReported(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	half := strings.Replace(status(t, h2).Host.Subnet.String(), "/24", "/25", 1)
	run(t, h1, "ip", "link", "add", "tun7", "type", "veth", "peer", "tun8") // as a VPN's: a guest has no /dev/net/tun
	run(t, h1, "ip", "link", "set", "tun7", "up")
	run(t, h1, "ip", "route", "add", "172.16.0.0/12", "dev", "tun7")
	audited(t, h1, 0)
	run(t, h1, "ip", "route", "add", half, "dev", "tun7")
	testenv.Eventually(t, soon, func() error {
		return problem(ctx, h1, half, "takes addresses of h2", "ip route del "+half+" dev tun7")
	})
	audited(t, h1, 1, half)
	run(t, h1, "ip", "link", "del", "tun7")
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	noProblems(t, h1)
}

func deadVswitchdIsNamed(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	must(t, h2.KillVswitchd(ctx))
	testenv.Eventually(t, 5*time.Second, func() error {
		return problem(ctx, h2, "ovs-vswitchd is not running", ovsdb.RestartCommand)
	})
	audited(t, h2, 3, "ovs-vswitchd is not running", ovsdb.RestartCommand)
	s := status(t, h2)
	if s.Host.OVS != "down" {
		t.Errorf("Open vSwitch is %q", s.Host.OVS)
	}
	for _, p := range s.Peers {
		if p.Tunnel.BFD != ovsdb.StateUnknown || p.Tunnel.RxBytes != 0 {
			t.Errorf("the tunnel to %s: BFD %q, %d bytes", p.Name, p.Tunnel.BFD, p.Tunnel.RxBytes)
		}
	}
	if code, out, err := meshAudit(t, h2); err != nil || code == 0 || !strings.Contains(out, "ovs-vswitchd is not running") {
		t.Errorf("audit --mesh ends with %d, %v:\n%s", code, err, out)
	}
	must(t, h2.StartVswitchd(ctx))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
}
