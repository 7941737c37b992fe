package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// soon is time enough for whatever the agents do at once, on a busy machine
// and with the race detector.
const soon = 30 * time.Second

// whole waits for the full mesh of all the lab's hosts.
func whole(t *testing.T, l *testenv.Lab) {
	t.Helper()
	wholeWithin(t, l, time.Minute)
}

// wholeWithin asks the agents only when all tunnels are up, which is cheaper
// to see: a poll that takes the machine's time keeps the mesh from forming.
func wholeWithin(t *testing.T, l *testenv.Lab, d time.Duration) {
	t.Helper()
	n := len(l.Hosts())
	testenv.Eventually(t, d, func() error {
		tunnels, err := l.Tunnels(t.Context())
		if err == nil && tunnels.Up != n*(n-1) {
			err = fmt.Errorf("%d of %d tunnels are there, %d are up", tunnels.Present, n*(n-1), tunnels.Up)
		}
		if err != nil {
			return err
		}
		return l.Ready(t.Context())
	})
}

// meshed tells what is missing of a full mesh of some hosts, by their own
// account: each sees the others alive with BFD up.
func meshed(ctx context.Context, hosts ...*testenv.Host) error {
	var errs []error
	for _, h := range hosts {
		s, err := h.Status(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n := len(hosts)
		if s.Mesh.Hosts != n || s.Mesh.TunnelsUp != n*(n-1) {
			errs = append(errs, fmt.Errorf("%s sees %d of %d hosts, %d of %d tunnels up",
				h.Name, s.Mesh.Hosts, n, s.Mesh.TunnelsUp, n*(n-1)))
		}
		for _, other := range hosts {
			p := peer(s, other)
			if other != h && (p.State != "alive" || p.Tunnel.BFD != "up") {
				errs = append(errs, fmt.Errorf("%s: %s is %q, BFD %q", h.Name, other.Name, p.State, p.Tunnel.BFD))
			}
		}
	}
	return errors.Join(errs...)
}

// peer is what a host's status says of another; zero when it is not there.
func peer(s mesh.Status, h *testenv.Host) mesh.PeerStatus {
	for _, p := range s.Peers {
		if p.Name == h.Name {
			return p
		}
	}
	return mesh.PeerStatus{}
}

// status is a host's status, which must be had.
func status(t *testing.T, h *testenv.Host) mesh.Status {
	t.Helper()
	s, err := h.Status(t.Context())
	must(t, err)
	return s
}

// vacant is an address of the pool, in a subnet that no host has.
func vacant(t *testing.T, l *testenv.Lab) netip.Addr {
	t.Helper()
	taken := make(map[netip.Prefix]bool)
	for _, h := range l.Hosts() {
		taken[status(t, h).Host.Subnet] = true
	}
	for i := byte(255); ; i-- {
		if subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, i, 0}), 24); !taken[subnet] {
			return netip.AddrFrom4([4]byte{172, 17, i, 77})
		}
	}
}

// port is the name of the port that leads to h: gre43 to 172.17.43.0/24.
func port(t *testing.T, h *testenv.Host) string {
	t.Helper()
	return fmt.Sprintf("gre%d", status(t, h).Host.Subnet.Addr().As4()[2])
}

// run is a command on a host that must succeed, and returns what it printed without
// space around it.
func run(t *testing.T, h *testenv.Host, argv ...string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), argv...)
	must(t, err)
	return strings.TrimSpace(out)
}

// ports are the ports of the host's br0.
func ports(ctx context.Context, h *testenv.Host) ([]string, error) {
	out, err := h.Exec(ctx, "ovs-vsctl", "list-ports", "br0")
	return strings.Fields(out), err
}

// hasPort tells that br0 has a port, or, with want false, that it has not.
func hasPort(ctx context.Context, h *testenv.Host, name string, want bool) error {
	all, err := ports(ctx, h)
	if err == nil && slices.Contains(all, name) != want {
		err = fmt.Errorf("%s has the ports %s; %s among them should be %t", h.Name, all, name, want)
	}
	return err
}

// problem tells that a host's status names a problem in these words.
func problem(ctx context.Context, h *testenv.Host, words ...string) error {
	s, err := h.Status(ctx)
	if err != nil {
		return err
	}
	for _, p := range s.Problems {
		if containsAll(p.What+" "+p.Do, words...) {
			return nil
		}
	}
	return fmt.Errorf("%s: no problem says %q: %+v", h.Name, words, s.Problems)
}

// pending tells that a host's status names work under way in these words.
func pending(ctx context.Context, h *testenv.Host, words string) error {
	s, err := h.Status(ctx)
	if err == nil && !strings.Contains(strings.Join(s.Pending, "\n"), words) {
		err = fmt.Errorf("%s: nothing under way is %q: %q", h.Name, words, s.Pending)
	}
	return err
}

// logs tells that the host's agent has printed a line with these words.
func logs(h *testenv.Host, words ...string) error {
	text, err := h.AgentLog()
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if containsAll(line, words...) {
			return nil
		}
	}
	return fmt.Errorf("%s: no line of the log says %q:\n%s", h.Name, words, text)
}

func containsAll(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// changes counts the changes that the host's agents have logged.
func changes(t *testing.T, h *testenv.Host) int {
	t.Helper()
	text, err := h.AgentLog()
	must(t, err)
	return strings.Count(text, `"msg":"changed"`)
}

// noRaces fails the test at its end if an agent had a data race or panicked.
func noRaces(t *testing.T, l *testenv.Lab) {
	t.Helper()
	t.Cleanup(func() {
		for _, h := range l.Hosts() {
			text, _ := h.AgentLog() // a host that never had an agent has no log
			for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
				if i := strings.Index(text, bad); i >= 0 {
					t.Errorf("the agent of %s: %s", h.Name, text[i:min(len(text), i+6000)])
				}
			}
		}
	})
}
