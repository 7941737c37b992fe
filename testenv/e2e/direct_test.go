package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

// Of these, h1 and h3 are in the first, and h2 is in the second.
var directSubnets = []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24"), netip.MustParsePrefix("10.90.1.0/24")}

// TestDirect has hosts of which two are in one subnet, and one is beyond a
// router.
func TestDirect(t *testing.T) {
	needs(t, kernel.NFTablesIP) // else no peer is direct
	l := start(t, testenv.Config{Hosts: 3, Docker: true, Outside: true, Subnets: directSubnets})
	noRaces(t, l)
	before := daemonJSON(t, l.Host(1))
	must(t, l.Form(map[string]any{"direct": "same-subnet", "node.advertise": underlayDevice()}))
	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	must(t, l.Each(func(h *testenv.Host) error { return serve(t.Context(), h) }))
	inTurn(t, l,
		behaviour{"hosts of one subnet do without the tunnel", neighboursAreDirect},
		behaviour{"TCP passes stateful firewalls", statefulFirewallsPass},
		behaviour{"who sees which source", sources},
		behaviour{"Docker's FORWARD DROP", forwardDrop},
		behaviour{"a host that says never has tunnels to all", oneSaysNever},
		behaviour{"a host that moves to another subnet, and back", movesAway},
		behaviour{"a network that drops packets with containers' addresses", networkThatDrops},
		behaviour{"agents that are stopped", directWithoutAgents},
		behaviour{"Docker must be restarted where it has started without the key", withoutTheKey},
		behaviour{"uninstall leaves no trace", func(t *testing.T, l *testenv.Lab) { directUninstall(t, l, before) }},
	)
}

// ways tells that two hosts reach each other so, by their status and routes.
func ways(t *testing.T, a, b *testenv.Host, via string) error {
	t.Helper()
	var errs []error
	for _, pair := range [][2]*testenv.Host{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		s, err := from.Status(t.Context())
		if err != nil {
			return err
		}
		p := peer(s, to)
		if p.Via != via {
			errs = append(errs, fmt.Errorf("%s reaches %s by %q (%s), want %s", from.Name, to.Name, p.Via, p.Indirect, via))
			continue
		}
		want := fmt.Sprintf("via %s dev docker0", p.Subnet.Addr().Next())
		if via == mesh.ViaDirect {
			want = fmt.Sprintf("via %s dev %s", p.Underlay, underlayDevice())
		}
		if route, err := from.Exec(t.Context(), "ip", "route", "show", p.Subnet.String()); err != nil || !strings.Contains(route, want) {
			errs = append(errs, fmt.Errorf("%s: the route is %q, want %s: %w", from.Name, route, want, err))
		}
	}
	return errors.Join(errs...)
}

func neighboursAreDirect(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	testenv.Eventually(t, soon, func() error {
		return errors.Join(ways(t, h1, h3, mesh.ViaDirect), ways(t, h3, h1, mesh.ViaDirect), ways(t, h1, h2, mesh.ViaTunnel), ways(t, h3, h2, mesh.ViaTunnel))
	})
	c1, c2, c3 := container(t, h1, "c1"), container(t, h2, "c1"), container(t, h3, "c1")
	const carried = "ip proto 47 and ip[40:2] = 0x0800" // IPv4: docker0's own ARPs go by every port
	tunnels := tcpdump(t, h1, "-i", "eth0", carried)
	plain := tcpdump(t, h1, "-i", "eth0", "host "+c3.Addr.String())
	must(t, fetch(t.Context(), c1, c3, soon))
	must(t, fetch(t.Context(), c3, c1, soon))
	bothWaysAreRoutedAlike(t, l)
	testenv.Eventually(t, soon, func() error { // what came before it has been captured, then
		if tunnels.says(t, c2.Addr.String()) == 0 || plain.says(t, c1.Addr.String()) == 0 {
			return errors.New("nothing is captured yet")
		}
		return nil
	})
	// What h2 sends to h3 comes here too as long as its switch has not learned
	// where h3 is.
	if n := tunnels.says(t, c1.Addr.String(), c3.Addr.String()); n != 0 {
		t.Errorf("%d packets of neighbours in the tunnels", n)
	}
	for _, h := range l.Hosts() {
		noProblems(t, h)
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		if has := strings.Contains(daemonJSON(t, h), "allow-direct-routing"); has != dockerKnowsDirect(t) {
			t.Errorf("%s: daemon.json is %s", h.Name, daemonJSON(t, h))
		}
	}
}

func daemonJSON(t *testing.T, h *testenv.Host) string {
	t.Helper()
	b, err := os.ReadFile(h.DaemonJSON())
	must(t, err)
	return string(b)
}

// dockerKnowsDirect tells whether this machine's Docker has the key.
func dockerKnowsDirect(t *testing.T) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dockerd", "--version").Output()
	must(t, err)
	return !regexp.MustCompile(`version (1\d|2[0-7]|28\.[01])\.`).Match(out)
}

func forwardDrop(t *testing.T, l *testenv.Lab) {
	if nftablesBackend() {
		return // there no chain of Docker accepts it: see forwardDropsWithNFTables
	}
	for _, h := range l.Hosts() {
		run(t, h, "iptables", "-P", "FORWARD", "DROP")
	}
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
}

// oneSaysNever restarts an agent, as for any other change of its configuration.
func oneSaysNever(t *testing.T, l *testenv.Lab) {
	h1, h3 := l.Host(1), l.Host(3)
	for _, step := range []struct{ direct, via string }{{"never", mesh.ViaTunnel}, {"same-subnet", mesh.ViaDirect}} {
		pings := keepPinging(t, h1, "c1", container(t, h3, "c1").Addr)
		must(t, h3.WriteConfig(map[string]any{
			"mesh.join": []string{h1.Addr.String()}, "direct": step.direct, "node.advertise": underlayDevice(),
		}))
		began := time.Now()
		must(t, h3.StopAgent(t.Context(), syscall.SIGTERM))
		must(t, h3.StartAgent(t.Context()))
		testenv.Eventually(t, soon, func() error { return ways(t, h1, h3, step.via) })
		t.Logf("direct: %s: both reach each other by %s after %s", step.direct, step.via, time.Since(began).Round(10*time.Millisecond))
		t.Logf("outage of container to container: %s", pings.outage(t))
	}
}

// movesAway replugs a host whose address is then another subnet's.
func movesAway(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	dev := underlayDevice()
	for _, step := range []struct {
		from, to, router, via string
		subnet                netip.Prefix
	}{
		{h3.Addr.String(), "10.90.1.13", "10.90.1.254", mesh.ViaTunnel, directSubnets[1]},
		{"10.90.1.13", h3.Addr.String(), "10.90.0.254", mesh.ViaDirect, directSubnets[0]},
	} {
		pings := keepPinging(t, h1, "c1", container(t, h3, "c1").Addr)
		began := time.Now()
		must(t, h3.Replug(t.Context(), step.subnet))
		run(t, h3, "sh", "-ec", fmt.Sprintf("ip address del %s/24 dev %s; ip address add %s/24 dev %s; ip route replace default via %s",
			step.from, dev, step.to, dev, step.router))
		testenv.Eventually(t, soon, func() error { return ways(t, h1, h3, step.via) })
		t.Logf("to %s: h1 and h3 reach each other by %s after %s", step.to, step.via, time.Since(began).Round(10*time.Millisecond))
		settledIn(t, l)
		t.Logf("the mesh is whole after %s", time.Since(began).Round(10*time.Millisecond))
		t.Logf("outage of container to container: %s", pings.outage(t))
		other := mesh.ViaDirect
		if step.via == mesh.ViaDirect {
			other = mesh.ViaTunnel
		}
		testenv.Eventually(t, soon, func() error { return ways(t, h2, h3, other) }) // which is h3's neighbour in turn
		t.Logf("h2 and h3 reach each other by %s after %s", other, time.Since(began).Round(10*time.Millisecond))
		containersReachEachOther(t, l)
	}
}

// networkThatDrops is as many clouds: one way, which is enough.
func networkThatDrops(t *testing.T, l *testenv.Lab) {
	ctx, h1, h3 := t.Context(), l.Host(1), l.Host(3)
	pings := keepPinging(t, h1, "c1", container(t, h3, "c1").Addr)
	began := time.Now()
	run(t, h3, "nft", fmt.Sprintf("add table ip cloud; add chain ip cloud in { type filter hook prerouting priority -310; };"+
		"add rule ip cloud in iifname %s ip saddr 172.17.0.0/16 drop", underlayDevice()))
	testenv.Eventually(t, soon, func() error { return ways(t, h1, h3, mesh.ViaTunnel) })
	t.Logf("both reach each other by tunnel after %s", time.Since(began).Round(10*time.Millisecond))
	containersReachEachOther(t, l)
	t.Logf("outage of container to container: %s", pings.outage(t))
	for _, h := range []*testenv.Host{h1, h3} {
		testenv.Eventually(t, soon, func() error { return problem(ctx, h, "nothing comes back", "direct: never") })
	}
	run(t, h3, "nft", "delete table ip cloud")
	restartAgents(t, l, h1, h3)
	testenv.Eventually(t, soon, func() error { return ways(t, h1, h3, mesh.ViaDirect) })
}

func directWithoutAgents(t *testing.T, l *testenv.Lab) {
	h1, h3 := l.Host(1), l.Host(3)
	for _, h := range []*testenv.Host{h1, h3} { // their routes, too, are what their status says
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
	pings := keepPinging(t, h1, "c1", container(t, h3, "c1").Addr)
	for _, h := range []*testenv.Host{h1, h3} {
		must(t, h.StopAgent(t.Context(), syscall.SIGTERM))
	}
	// Files are sent between the pings: on a busy machine the underlay's switch, a
	// process, drops packets of a burst, pings among them, whatever agents do.
	pings.noneLost(t)
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
	pings = keepPinging(t, h1, "c1", container(t, h3, "c1").Addr)
	for _, h := range []*testenv.Host{h1, h3} {
		must(t, h.StartAgent(t.Context()))
	}
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return ways(t, h1, h3, mesh.ViaDirect) })
	pings.noneLost(t)
}

// withoutTheKey is where direct is switched on while Docker runs: no container
// ends for it.
func withoutTheKey(t *testing.T, l *testenv.Lab) {
	if !dockerKnowsDirect(t) {
		return // it needs none
	}
	ctx, h1, h3 := t.Context(), l.Host(1), l.Host(3)
	reconfigure := func(direct string) {
		must(t, h1.StopAgent(ctx, syscall.SIGTERM))
		must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "direct": direct, "node.advertise": underlayDevice()}))
		must(t, h1.StartAgent(ctx))
		whole(t, l)
	}
	reconfigure("never")
	must(t, h1.RestartDocker(ctx))
	run(t, h1, "docker", "start", "c1", "c2")
	reconfigure("same-subnet")
	testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "restart Docker") })
	must(t, ways(t, h1, h3, mesh.ViaTunnel))
	if run(t, h1, "docker", "inspect", "-f", "{{.State.Running}}", "c1") != "true" {
		t.Error("its container was stopped")
	}
	containersReachEachOther(t, l)
	must(t, h1.RestartDocker(ctx))
	run(t, h1, "docker", "start", "c1", "c2")
	testenv.Eventually(t, 40*time.Second, func() error { return ways(t, h1, h3, mesh.ViaDirect) })
	containersReachEachOther(t, l)
}

func directUninstall(t *testing.T, l *testenv.Lab, before string) {
	h1 := l.Host(1)
	run(t, h1, "docker", "rm", "-f", "c1", "c2")
	if out, err := uninstall(t, h1); err != nil {
		t.Fatalf("uninstall: %v\n%s", err, out)
	}
	if routes := run(t, h1, "ip", "route", "show", "proto", "77"); routes != "" {
		t.Errorf("routes are left: %s", routes)
	}
	if after := daemonJSON(t, h1); after != before {
		t.Errorf("daemon.json was %s and is %s", before, after)
	}
}
