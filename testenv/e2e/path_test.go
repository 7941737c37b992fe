package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

// TestPathOfPackets has hosts in two subnets with a router between, and an
// outside. Each step gives the hosts another way for the containers' packets.
func TestPathOfPackets(t *testing.T) {
	l := startMesh(t, testenv.Config{
		Hosts: 3, Docker: true, Outside: true,
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24"), netip.MustParsePrefix("10.90.1.0/24")},
	}, nil)
	must(t, l.Each(func(h *testenv.Host) error { return serve(t.Context(), h) }))
	one := map[string]any{"route": "aggregate", "flood": "on"}
	inTurn(t, l,
		behaviour{"per-peer: TCP passes stateful firewalls", statefulFirewallsPass},
		behaviour{"per-peer: both ways are routed alike", bothWaysAreRoutedAlike},
		behaviour{"per-peer: what is local stays local", localStaysLocal},
		behaviour{"per-peer: a host's own ARPs stay local", ownARPsStayLocal},
		behaviour{"per-peer: who sees which source", sources},
		behaviour{"one host is still of the recipe", func(t *testing.T, l *testenv.Lab) { mixed(t, l, one) }},
		behaviour{"aggregate: a broadcast makes a copy per peer", func(t *testing.T, l *testenv.Lab) {
			reform(t, l, one)
			broadcast(t, l, "c1")
			localARPsAreCopied(t, l)
		}},
		behaviour{"aggregate: who sees which source", sources},
		behaviour{"aggregate: each host sees half of a flow", halfOfAFlow},
		behaviour{"flood: one broadcast domain beside the routes", func(t *testing.T, l *testenv.Lab) {
			reform(t, l, map[string]any{"flood": "on"})
			localARPsAreCopied(t, l)
		}},
		behaviour{"flood: TCP passes stateful firewalls", statefulFirewallsPass},
		behaviour{"flood: multicast passes IGMP snooping", multicastPassesSnooping},
	)
}

const served = 1_000_000 // bytes

// serve runs two containers, of which the first serves a file by HTTP.
func serve(ctx context.Context, h *testenv.Host) error {
	for _, name := range []string{"c1", "c2"} {
		if _, err := h.RunContainer(ctx, name); err != nil {
			return err
		}
	}
	_, err := h.Exec(ctx, "docker", "exec", "c1", "sh", "-c", fmt.Sprintf("head -c %d /dev/zero >/tmp/file && httpd -h /tmp", served))
	return err
}

// fetch gets the file of one container from another, within d.
func fetch(ctx context.Context, from, to testenv.End, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience(d))
	defer cancel()
	cmd := from.Command(ctx, "busybox", "wget", "-q", "-O", "-", fmt.Sprintf("http://%s/file", to.Addr))
	out, err := cmd.Output()
	if err == nil && len(out) != served {
		err = fmt.Errorf("%d bytes of %d", len(out), served)
	}
	if err != nil {
		return fmt.Errorf("%s gets the file of %s within %s: %w", from.Name, to.Name, d, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// container is one of a host's running containers.
func container(t *testing.T, h *testenv.Host, name string) testenv.End {
	t.Helper()
	c, err := h.Container(t.Context(), name)
	must(t, err)
	return c
}

// eachPair calls f for the first containers of all pairs of different hosts.
func eachPair(t *testing.T, l *testenv.Lab, f func(from, to testenv.End)) {
	t.Helper()
	for _, a := range l.Hosts() {
		for _, b := range l.Hosts() {
			if a != b {
				f(container(t, a, "c1"), container(t, b, "c1"))
			}
		}
	}
}

// reform gives all agents other settings.
func reform(t *testing.T, l *testenv.Lab, settings map[string]any) {
	t.Helper()
	must(t, l.Form(settings))
	restartAgents(t, l, l.Hosts()...)
}

func restartAgents(t *testing.T, l *testenv.Lab, hosts ...*testenv.Host) {
	t.Helper()
	for _, h := range hosts {
		must(t, h.StopAgent(t.Context(), syscall.SIGTERM))
	}
	for _, h := range hosts {
		must(t, h.StartAgent(t.Context()))
	}
	whole(t, l)
	for _, h := range hosts {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
}

// firewall has every host drop what its connection tracking holds for invalid,
// until the returned function has been called. With bridged, frames that cross
// a bridge are tracked too: the kernel's default where br_netfilter is loaded.
func firewall(t *testing.T, l *testenv.Lab, bridged string) (end func()) {
	t.Helper()
	needs(t, kernel.NFTablesInet)
	const rules = "add table inet strict; add chain inet strict forward { type filter hook forward priority 0; };" +
		"add rule inet strict forward ct state invalid counter drop"
	for _, h := range l.Hosts() {
		run(t, h, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables="+bridged)
		run(t, h, "nft", rules)
	}
	return func() {
		for _, h := range l.Hosts() {
			run(t, h, "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")
			run(t, h, "nft", "delete table inet strict")
		}
	}
}

// dropped tells whether the host's firewall has dropped anything.
func dropped(t *testing.T, h *testenv.Host) bool {
	t.Helper()
	return !strings.Contains(run(t, h, "nft", "list chain inet strict forward"), "counter packets 0 ")
}

func statefulFirewallsPass(t *testing.T, l *testenv.Lab) {
	for _, bridged := range []string{"1", "0"} {
		end := firewall(t, l, bridged)
		eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
		for _, h := range l.Hosts() {
			if dropped(t, h) {
				t.Errorf("with bridge-nf-call-iptables=%s, %s has dropped packets", bridged, h.Name)
			}
		}
		end()
	}
}

// halfOfAFlow is what the aggregate route alone comes to: a packet crosses the
// bridge of the host that its answer is routed by. Where bridges are not
// tracked, that host knows nothing of what is answered.
func halfOfAFlow(t *testing.T, l *testenv.Lab) {
	from, to := container(t, l.Host(1), "c1"), container(t, l.Host(2), "c1")
	end := firewall(t, l, "1")
	must(t, fetch(t.Context(), from, to, soon))
	end()
	defer firewall(t, l, "0")()
	if err := fetch(t.Context(), from, to, 3*time.Second); err == nil {
		t.Error("TCP passes")
	}
	if !dropped(t, l.Host(2)) {
		t.Error("h2 has dropped nothing")
	}
}

// bothWaysAreRoutedAlike sees by the answers' hops that both hosts have routed
// them; each pair is pinged from both ends.
func bothWaysAreRoutedAlike(t *testing.T, l *testenv.Lab) {
	eachPair(t, l, func(from, to testenv.End) {
		out, err := from.Command(t.Context(), "ping", "-n", "-c1", "-W10", to.Addr.String()).Output()
		if err != nil || !strings.Contains(string(out), " ttl=62 ") {
			t.Errorf("from %s to %s: want ttl 62: %v\n%s", from.Name, to.Name, err, out)
		}
	})
}

// sources are those that gremesh and Docker's own rules make, which masquerade
// what leaves by the NIC for the outside.
func sources(t *testing.T, l *testenv.Lab) {
	needs(t, kernel.NFTablesIP)
	h1 := l.Host(1)
	c1, host := container(t, h1, "c1"), h1.End()
	bip := func(h *testenv.Host) netip.Addr { return status(t, h).Host.Bip.Addr() }
	for _, h := range l.Hosts()[1:] { // beyond the router, and in the same subnet
		seenAs(t, c1, container(t, h, "c1"), c1.Addr)
		seenAs(t, c1, h.End().At(bip(h)), c1.Addr)
		seenAs(t, c1, h.End(), c1.Addr)
		seenAs(t, host, container(t, h, "c1"), bip(h1))
	}
	seenAs(t, c1, l.Outside(), h1.Addr)
	seenAs(t, host, l.Outside(), h1.Addr)
}

// mixed has one host with other settings than the rest.
func mixed(t *testing.T, l *testenv.Lab, settings map[string]any) {
	h1 := l.Host(1)
	all := map[string]any{"mesh.bootstrap": true}
	for key, value := range settings {
		all[key] = value
	}
	must(t, h1.WriteConfig(all))
	restartAgents(t, l, h1)
	containersReachEachOther(t, l)
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
}
