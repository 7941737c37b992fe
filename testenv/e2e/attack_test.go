package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

const metricsPort = 9747

// TestContainersThatAttackTheMesh has a container of h1, with the capabilities
// that Docker gives to all, and a host that forges what comes by the tunnels.
// Traffic that should pass is checked beside each, so that a test of what is
// dropped can fail.
func TestContainersThatAttackTheMesh(t *testing.T) {
	needs(t, kernel.NFTablesInet)
	cfg := testenv.Config{Hosts: 3, Docker: true, Outside: true}
	if onKernelDatapath() {
		cfg.Second = netip.MustParsePrefix("10.91.0.0/24") // for arriving
	}
	l := startMesh(t, cfg, map[string]any{"metrics.listen": fmt.Sprintf("0.0.0.0:%d", metricsPort)})
	must(t, l.Each(func(h *testenv.Host) error { return serve(t.Context(), h) }))
	a := &attack{t: t, l: l}
	for _, h := range l.Hosts() {
		run(t, h, "sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done") // no help from there
	}
	must(t, a.l.Each(func(h *testenv.Host) error {
		_, err := h.Exec(t.Context(), "docker", "network", "create", "proj")
		return err
	}))
	inTurn(t, l,
		behaviour{"forged sources, routed by the own host", a.routed},
		behaviour{"forged frames past the own host", a.bridged},
		behaviour{"tunnel packets out of a container", a.tunnelled},
		behaviour{"forged sources out of a tunnel", a.received},
		behaviour{"BFD packets", a.bfd},
		behaviour{"gossip and metrics", a.services},
		behaviour{"tunnel packets that the kernel receives", a.arriving},
		behaviour{"what should pass does", a.passes},
		behaviour{"rules that are flushed come back", a.flushed},
	)
}

type attack struct {
	t *testing.T
	l *testenv.Lab
}

// mac is the fixed one of a host's docker0.
func (a *attack) mac(h *testenv.Host) net.HardwareAddr {
	return bridge.MAC(status(a.t, h).Host.Bip.Addr())
}

// key is that of the tunnels, which the attacker is taken to know.
func (a *attack) key() uint32 {
	out := run(a.t, a.l.Host(2), "ovs-vsctl", "--bare", "--columns=options", "find", "interface", "type=gre")
	for word := range strings.FieldsFuncSeq(out, func(r rune) bool { return strings.ContainsRune(" \n{},\"", r) }) {
		if text, is := strings.CutPrefix(word, "key="); is {
			key, err := strconv.ParseUint(text, 10, 32)
			must(a.t, err)
			return uint32(key)
		}
	}
	return 0
}

// arrives tells which of the sources a container sees while packets are sent.
func (a *attack) arrives(t *testing.T, at testenv.End, send func(to netip.AddrPort) error) map[netip.Addr]int {
	t.Helper()
	listener, err := at.Listen(t.Context())
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	must(t, send(listener.Addr))
	// A packet that passes tells when all before it have, or have not.
	last := container(t, a.l.Host(3), "c2")
	testenv.Eventually(t, soon, func() error {
		if _, err := last.Send(t.Context(), listener.Addr, 1, time.Millisecond); err != nil {
			return err
		}
		if listener.Seen()[last.Addr] == 0 {
			return fmt.Errorf("nothing from %s", last.Addr)
		}
		return nil
	})
	seen := listener.Seen()
	delete(seen, last.Addr)
	return seen
}

var eights = netip.MustParseAddr("8.8.8.8")

// forgedPort is that which forged packets come from.
const forgedPort = 4444

func (a *attack) routed(t *testing.T, l *testenv.Lab) {
	c1, c2, c3 := container(t, l.Host(1), "c1"), container(t, l.Host(2), "c1"), container(t, l.Host(3), "c1")
	send := func(from netip.Addr) func(netip.AddrPort) error {
		return func(to netip.AddrPort) error {
			return c1.Inject(t.Context(), testenv.UDPPacket(netip.AddrPortFrom(from, forgedPort), to, 64, []byte("x")), 5, time.Millisecond)
		}
	}
	testenv.Eventually(t, soon, func() error {
		if seen := a.arrives(t, c2, send(c1.Addr)); seen[c1.Addr] != 5 {
			return fmt.Errorf("with its own address: %v; the test proves nothing", seen)
		}
		return nil
	})
	for _, forged := range []netip.Addr{c3.Addr, eights, l.Host(3).Addr, vacant(t, l)} {
		if seen := a.arrives(t, c2, send(forged)); len(seen) > 0 {
			t.Errorf("from %s: %v", forged, seen)
		}
	}
	// Nor does it leave for the outside.
	outside := l.Outside()
	listener, err := outside.Listen(t.Context())
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	must(t, send(eights)(listener.Addr))
	must(t, send(c3.Addr)(listener.Addr))
	seenAs(t, c1, outside, l.Host(1).Addr)
	if seen := listener.Seen(); seen[eights]+seen[c3.Addr]+seen[l.Host(1).Addr] > 0 {
		t.Errorf("the outside sees %v", seen)
	}
}

func (a *attack) bridged(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	c1, c2, c3 := container(t, h1, "c1"), container(t, h2, "c1"), container(t, h3, "c1")
	for _, from := range []net.HardwareAddr{a.mac(h1), a.mac(h3), {2, 0x42, 0, 0, 0, 9}} {
		for _, source := range []netip.Addr{c1.Addr, c3.Addr, eights} {
			seen := a.arrives(t, c2, func(to netip.AddrPort) error {
				packet := testenv.UDPPacket(netip.AddrPortFrom(source, forgedPort), to, 64, []byte("x"))
				return c1.InjectFrame(t.Context(), "eth0", testenv.Frame(from, a.mac(h2), packet), 5, time.Millisecond)
			})
			if len(seen) > 0 {
				t.Errorf("as %s from %s: %v", from, source, seen)
			}
		}
	}
}

// inGRE is a packet to a container of to, in a tunnel packet that says that it is
// of as.
func (a *attack) inGRE(as, to *testenv.Host, mac net.HardwareAddr, source netip.Addr, dst netip.AddrPort) []byte {
	inner := testenv.Frame(mac, a.mac(to), testenv.UDPPacket(netip.AddrPortFrom(source, forgedPort), dst, 64, []byte("x")))
	return testenv.GREPacket(as.Addr, to.Addr, a.key(), inner)
}

func (a *attack) tunnelled(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	c1, c2, c3 := container(t, h1, "c1"), container(t, h2, "c1"), container(t, h3, "c1")
	testenv.Eventually(t, soon, func() error { // the first packets of a flow can be lost
		if seen := a.arrives(t, c2, func(to netip.AddrPort) error {
			return h3.End().Inject(t.Context(), a.inGRE(h3, h2, a.mac(h3), c3.Addr, to), 5, time.Millisecond)
		}); seen[c3.Addr] != 5 {
			return fmt.Errorf("out of h3 itself: %v; the test proves nothing", seen)
		}
		return nil
	})
	for _, as := range []*testenv.Host{h1, h3} {
		if seen := a.arrives(t, c2, func(to netip.AddrPort) error {
			return c1.Inject(t.Context(), a.inGRE(as, h2, a.mac(as), c3.Addr, to), 5, time.Millisecond)
		}); len(seen) > 0 {
			t.Errorf("as %s: %v", as.Name, seen)
		}
	}
}

// received has h3 forge what it sends by its own tunnel.
func (a *attack) received(t *testing.T, l *testenv.Lab) {
	h2, h3 := l.Host(2), l.Host(3)
	c1, c2, c3 := container(t, l.Host(1), "c1"), container(t, h2, "c1"), container(t, h3, "c1")
	for what, forged := range map[string]struct {
		mac    net.HardwareAddr
		source netip.Addr
	}{
		"another peer's source":    {a.mac(h3), c1.Addr},
		"all of another peer's":    {a.mac(l.Host(1)), c1.Addr},
		"another MAC":              {net.HardwareAddr{2, 0x42, 0, 0, 0, 9}, c3.Addr},
		"a source that nobody has": {a.mac(h3), vacant(t, l)},
		"a source out of the pool": {a.mac(h3), eights},
		"another peer's underlay":  {a.mac(h3), l.Host(1).Addr},
		"this host's own":          {a.mac(h3), container(t, h2, "c2").Addr},
	} {
		if seen := a.arrives(t, c2, func(to netip.AddrPort) error {
			return h3.End().Inject(t.Context(), a.inGRE(h3, h2, forged.mac, forged.source, to), 5, time.Millisecond)
		}); len(seen) > 0 {
			t.Errorf("%s: %v", what, seen)
		}
	}
}

// bfd sends packets that say that the session is down, in the name of either
// end, to both.
func (a *attack) bfd(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	c1 := container(t, h1, "c1")
	down := []byte{
		0x20, 0x40, 3, 24, // version 1, state Down, multiplier 3, length (RFC 5880, 4.1)
		0, 0, 0, 9, 0, 0, 0, 0, // discriminators
		0, 0x0f, 0x42, 0x40, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0, // intervals
	}
	flaps := func() string {
		all := ""
		for _, h := range []*testenv.Host{h1, h2, h3} {
			out := run(t, h, "ovs-vsctl", "--bare", "--columns=name,bfd_status", "find", "interface", "type=gre")
			for line := range strings.FieldsFuncSeq(out, func(r rune) bool { return strings.ContainsRune("{}\n\" ,", r) }) {
				if strings.HasPrefix(line, "flap_count=") || line == "state=down" || line == "state=init" {
					all += h.Name + " " + line + "\n"
				}
			}
		}
		return all
	}
	before := flaps()
	bfdTo := func(from, to netip.Addr) []byte {
		return testenv.UDPPacket(netip.AddrPortFrom(from, 49152), netip.AddrPortFrom(to, 3784), 255, down)
	}
	control := net.HardwareAddr{0, 0x23, 0x20, 0, 0, 1} // Open vSwitch's own for BFD
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 2 { // a session needs less than a second to hear of one
		for _, pair := range [][2]*testenv.Host{{h3, h2}, {h2, h3}, {h1, h2}} {
			as, to := pair[0], pair[1]
			inner := testenv.Frame(a.mac(as), control, bfdTo(as.Addr, to.Addr))
			must(t, c1.Inject(ctx, testenv.GREPacket(as.Addr, to.Addr, a.key(), inner), 10, 20*time.Millisecond))
		}
		c2 := container(t, h2, "c1")
		for _, mac := range []net.HardwareAddr{a.mac(h2), control, {255, 255, 255, 255, 255, 255}} {
			must(t, c1.InjectFrame(ctx, "eth0", testenv.Frame(a.mac(h1), mac, bfdTo(c1.Addr, c2.Addr)), 10, 20*time.Millisecond))
		}
		must(t, c1.Inject(ctx, bfdTo(c1.Addr, c2.Addr), 10, 20*time.Millisecond))
	}
	if after := flaps(); after != before {
		t.Errorf("before\n%s after\n%s", before, after)
	}
}

// opening is a command that ends well if a TCP connection is made.
func opening(to netip.AddrPort) []string {
	return []string{"busybox", "nc", "-w", "1", to.Addr().String(), strconv.Itoa(int(to.Port())), "-e", "true"}
}

func opens(ctx context.Context, from testenv.End, to netip.AddrPort) bool {
	return from.Command(ctx, opening(to)...).Run() == nil
}

func (a *attack) services(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	run(t, h1, "docker", "run", "-d", "--name", "app", "--network", "proj", "--stop-signal", "KILL", testenv.Image)
	defer run(t, h1, "docker", "rm", "-f", "app")
	for _, to := range l.Hosts() {
		for _, port := range []uint16{7946, metricsPort} {
			at := netip.AddrPortFrom(to.Addr, port)
			from := l.Host(1)
			if to == from {
				from = l.Host(2)
			}
			if !opens(ctx, from.End(), at) {
				t.Errorf("host %s does not reach %s: the test proves nothing", from.Name, at)
			}
			if opens(ctx, container(t, h1, "c1"), at) {
				t.Errorf("a container reaches %s", at)
			}
			if _, err := h1.Exec(ctx, append([]string{"docker", "exec", "app"}, opening(at)...)...); err == nil {
				t.Errorf("a container of another network reaches %s", at)
			}
			if port == metricsPort && opens(ctx, container(t, h1, "c1"), netip.AddrPortFrom(status(t, to).Host.Bip.Addr(), port)) {
				t.Errorf("a container reaches metrics by docker0 of %s", to.Name)
			}
		}
	}
}

func (a *attack) passes(t *testing.T, l *testenv.Lab) {
	sources(t, l)
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
	for _, h := range l.Hosts() {
		noProblems(t, h)
		if s := status(t, h); l.Datapath() == "netdev" && !strings.Contains(s.Host.Guard, "userspace datapath") {
			t.Errorf("%s says of tunnel packets: %q", h.Name, s.Host.Guard)
		}
	}
}

func (a *attack) flushed(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	for _, family := range []string{"inet", "bridge"} {
		run(t, h1, "nft", "delete", "table", family, "gremesh")
		testenv.Eventually(t, healedWithin, func() error {
			_, err := h1.Exec(ctx, "nft", "list", "chain", family, "gremesh", "prerouting")
			return err
		})
	}
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
}
