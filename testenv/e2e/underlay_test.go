package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// follows is how long the mesh may take to follow a host to another address.
const follows = 8 * time.Second

// TestUnderlayThatChanges has agents that are told a device instead of an
// address.
func TestUnderlayThatChanges(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3}, map[string]any{"node.advertise": underlayDevice()})
	inTurn(t, l,
		behaviour{"the NIC goes down and comes up", nicGoesDown},
		behaviour{"the address changes and changes back", addressChanges},
		behaviour{"two hosts swap their addresses", addressesSwap},
		behaviour{"the address goes for a while", addressGoes},
		behaviour{"the MTU changes", underlayMTUChanges},
		behaviour{"a host that has moved leaves", movedHostLeaves},
	)
}

// underlayDevice has the hosts' underlay address.
func underlayDevice() string {
	if os.Getenv("TESTENV_DATAPATH") == "system" {
		return "eth0"
	}
	return "br-phy"
}

// move gives a host another underlay address in the place of the one it has.
func move(t *testing.T, h *testenv.Host, from, to string) {
	t.Helper()
	dev := underlayDevice()
	run(t, h, "sh", "-ec", fmt.Sprintf("ip address del %s/24 dev %s; ip address add %s/24 dev %s", from, dev, to, dev))
}

// leadsTo tells that all tunnels of a host's peers to it, and its own, have its
// address.
func leadsTo(t *testing.T, l *testenv.Lab, h *testenv.Host, name, addr string) error {
	t.Helper()
	var errs []error
	for _, other := range l.Hosts() {
		if other == h {
			continue
		}
		remote, err := other.Exec(t.Context(), "ovs-vsctl", "get", "interface", name, "options:remote_ip")
		if err == nil && strings.TrimSpace(remote) != `"`+addr+`"` {
			err = fmt.Errorf("%s: %s leads to %s, want %s", other.Name, name, strings.TrimSpace(remote), addr)
		}
		errs = append(errs, err)
	}
	local, err := h.Exec(t.Context(), "ovs-vsctl", "--bare", "--columns=options", "find", "interface", "type=gre")
	if err == nil && strings.Count(local, "local_ip="+addr+" ") != len(l.Hosts())-1 {
		err = fmt.Errorf("%s: its tunnels are %s, want local_ip %s", h.Name, local, addr)
	}
	return errors.Join(append(errs, err)...)
}

// settledIn waits until the mesh is whole, and every host as it should be.
func settledIn(t *testing.T, l *testenv.Lab) {
	t.Helper()
	relearn(t, l)
	whole(t, l)
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		all, err := ports(t.Context(), h)
		if must(t, err); len(all) != len(l.Hosts())-1 {
			t.Errorf("%s has the ports %s", h.Name, all)
		}
	}
}

// relearn has the userspace datapath learn MAC addresses anew, which it forgets
// when its device gets another address. It learns them from answers that come to
// ovs-vswitchd, and a flow that was cached for the kernel's own can keep those
// from it for minutes.
func relearn(t *testing.T, l *testenv.Lab) {
	t.Helper()
	if underlayDevice() != "br-phy" {
		return
	}
	for _, h := range l.Hosts() {
		run(t, h, "ovs-appctl", "revalidator/purge")
	}
}

// pingBip pings from one host's docker0 to another's, ten times a second.
func pingBip(t *testing.T, from, to *testenv.Host) *pinger {
	t.Helper()
	dir := t.TempDir()
	p := &pinger{replies: filepath.Join(dir, "out")}
	p.stop = background(t, from, p.replies, filepath.Join(dir, "err"), "ping", "-n", "-i", "0.1",
		"-I", status(t, from).Host.Bip.Addr().String(), status(t, to).Host.Bip.Addr().String())
	p.more(t)
	return p
}

// outage ends the pings and tells for how long, about, there was no reply.
func (p *pinger) outage(t *testing.T) time.Duration {
	t.Helper()
	p.more(t)
	p.stop()
	replies, last := p.seen(t)
	return time.Duration(last-replies) * 100 * time.Millisecond
}

func addressChanges(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	name, before := port(t, h2), status(t, h2).Host
	there, back := h2.Addr.String(), netip.MustParseAddr("10.90.0.12").String()
	for _, step := range [][2]string{{there, back}, {back, there}} {
		pings := pingBip(t, h1, h2)
		began := time.Now()
		move(t, h2, step[0], step[1])
		testenv.Eventually(t, follows, func() error { return leadsTo(t, l, h2, name, step[1]) })
		t.Logf("from %s to %s: all tunnels follow after %s", step[0], step[1], time.Since(began).Round(10*time.Millisecond))
		settledIn(t, l)
		t.Logf("the mesh is whole after %s", time.Since(began).Round(10*time.Millisecond))
		t.Logf("outage of docker0 to docker0: %s", pings.outage(t))
		if now := status(t, h2).Host; now.ID != before.ID || now.Subnet != before.Subnet || now.Underlay.String() != step[1] {
			t.Errorf("the host was %+v and is %+v", before, now)
		}
	}
}

// addressesSwap is where the old address of each is not silent, but another
// host's.
func addressesSwap(t *testing.T, l *testenv.Lab) {
	h2, h3 := l.Host(2), l.Host(3)
	a, b, name2, name3, before := h2.Addr.String(), h3.Addr.String(), port(t, h2), port(t, h3), subnets(t, l)
	swap := func(of2, of3, now2, now3 string) {
		began := time.Now()
		dev := underlayDevice()
		run(t, h2, "ip", "address", "del", of2+"/24", "dev", dev)
		run(t, h3, "ip", "address", "del", of3+"/24", "dev", dev)
		run(t, h2, "ip", "address", "add", now2+"/24", "dev", dev)
		run(t, h3, "ip", "address", "add", now3+"/24", "dev", dev)
		// Whoever manages the network announces a new address (RFC 5227, section
		// 2.3), which ip(8) does not: else packets go to the old MAC for a minute.
		run(t, h2, "busybox", "arping", "-A", "-c", "1", "-I", dev, now2)
		run(t, h3, "busybox", "arping", "-A", "-c", "1", "-I", dev, now3)
		testenv.Eventually(t, soon, func() error {
			return errors.Join(leadsTo(t, l, h2, name2, now2), leadsTo(t, l, h3, name3, now3))
		})
		t.Logf("all tunnels follow after %s", time.Since(began).Round(10*time.Millisecond))
		settledIn(t, l)
		t.Logf("the mesh is whole after %s", time.Since(began).Round(10*time.Millisecond))
	}
	swap(a, b, b, a)
	swap(b, a, a, b)
	if now := subnets(t, l); now != before {
		t.Errorf("the subnets were %s and are %s", before, now)
	}
}

// addressGoes leaves the host without an address for longer than gossip waits
// for a host that is silent.
func addressGoes(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	pid, err := h2.AgentPID()
	must(t, err)
	run(t, h2, "ip", "address", "del", h2.Addr.String()+"/24", "dev", underlayDevice())
	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, h2.Addr.String(), underlayDevice(), "node.advertise") })
	testenv.Eventually(t, soon, func() error { return isFailed(t, l.Host(1), h2) })
	run(t, h2, "ip", "address", "add", h2.Addr.String()+"/24", "dev", underlayDevice())
	settledIn(t, l)
	if now, err := h2.AgentPID(); err != nil || now != pid {
		t.Errorf("the agent was process %d and is %d, %v", pid, now, err)
	}
	noProblems(t, h2)
}

// nicGoesDown has the NIC down for less time than gossip waits for a host that
// is silent.
func nicGoesDown(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	pings := pingBip(t, h1, h2)
	run(t, h2, "ip", "link", "set", "eth0", "down")
	<-time.After(3 * time.Second) // for how long it is down is the point
	run(t, h2, "ip", "link", "set", "eth0", "up")
	began := time.Now()
	settledIn(t, l)
	t.Logf("down for 3 s: the mesh is whole %s after it is up; outage of docker0 to docker0: %s",
		time.Since(began).Round(10*time.Millisecond), pings.outage(t))
	if logs(h2, "the underlay has changed") == nil {
		t.Error("a NIC that goes down is taken for another underlay")
	}
}

func underlayMTUChanges(t *testing.T, l *testenv.Lab) {
	h2 := l.Host(2)
	set := func(mtu string) {
		if dev := underlayDevice(); dev == "br-phy" { // Open vSwitch would undo another's change
			run(t, h2, "ovs-vsctl", "set", "interface", dev, "mtu_request="+mtu)
		} else {
			run(t, h2, "ip", "link", "set", dev, "mtu", mtu)
		}
	}
	set("1400")
	testenv.Eventually(t, soon, func() error {
		link, err := h2.Exec(t.Context(), "ip", "-o", "link", "show", "docker0")
		if err == nil && !strings.Contains(link, " mtu 1358 ") {
			err = fmt.Errorf("want MTU 1358: %s", link)
		}
		return err
	})
	set("1500")
	settledIn(t, l)
	if mtu := status(t, h2).Host.MTU; mtu != 1458 {
		t.Errorf("MTU is %d", mtu)
	}
}

// movedHostLeaves is the last: the lab does not know of the address.
func movedHostLeaves(t *testing.T, l *testenv.Lab) {
	const addr = "10.90.0.13"
	h3 := l.Host(3)
	name := port(t, h3)
	move(t, h3, h3.Addr.String(), addr)
	testenv.Eventually(t, follows, func() error { return leadsTo(t, l, h3, name, addr) })
	leaves(t, l, h3, name)
}

// TestFixedUnderlayAddressThatGoes is about an agent that is told an address.
func TestFixedUnderlayAddressThatGoes(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 2}, nil)
	ctx, h2 := t.Context(), l.Host(2)
	move(t, h2, h2.Addr.String(), "10.90.0.12")
	testenv.Eventually(t, soon, func() error {
		return problem(ctx, h2, "node.advertise", "no device of this host has the address "+h2.Addr.String())
	})
	testenv.Eventually(t, soon, func() error { return logs(h2, "WARN", "the underlay address is in doubt", h2.Addr.String()) })
	move(t, h2, "10.90.0.12", h2.Addr.String())
	settledIn(t, l)
	testenv.Eventually(t, 5*time.Second, func() error {
		if found := problems(t, h2); len(found) > 0 {
			return fmt.Errorf("problems remain: %+v", found)
		}
		return nil
	})

	must(t, h2.StopAgent(ctx, syscall.SIGTERM))
	run(t, h2, "ip", "address", "del", h2.Addr.String()+"/24", "dev", underlayDevice())
	refused(t, h2, "no device of this host has the address "+h2.Addr.String()) // at the start it is an error
}
