package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// tunnelDevice names the device by which Open vSwitch in the kernel receives all
// tunnel packets of a type.
var tunnelDevice = map[string]string{"gre": "gre_sys", "vxlan": "vxlan_sys_4789", "geneve": "genev_sys_6081"}

// arrival is what is needed to send tunnel packets of one type to h2, and to tell
// what becomes of them.
type arrival struct {
	*attack
	kind     string
	key      uint32
	peer     net.HardwareAddr // of h3's docker0
	own      net.HardwareAddr // of h2's
	inner    netip.Addr       // the source within the tunnel: a container of h3
	last     testenv.End      // another one, which sends by h3's own tunnel
	listener *testenv.Listener
	device   *capture
}

// way is one by which a tunnel packet comes to h2.
type way struct {
	name string
	from netip.Addr // the outer source
	send func(packet []byte) error
	// passes says that the guard lets it in.
	passes bool
	// unmatched says that Open vSwitch has no port for it: it drops the packet with
	// the guard and without it, but sees it only without.
	unmatched bool
	// elsewhere says that another host drops it.
	elsewhere bool
}

// ways are those by which tunnel packets come to h2: h3's, and those of others that
// know the key and what h3 sends.
func (a *attack) ways(t *testing.T) []way {
	const times, every = 5, time.Millisecond
	h1, h2, h3 := a.l.Host(1), a.l.Host(2), a.l.Host(3)
	by := func(from testenv.End) func([]byte) error {
		return func(packet []byte) error { return from.Inject(t.Context(), packet, times, every) }
	}
	eth1 := hardwareAddr(t, h2, "eth1")
	second := func(packet []byte) error {
		frame := testenv.Frame(net.HardwareAddr{2, 0, 0, 0, 0, 9}, eth1, packet)
		return h3.End().InjectFrame(t.Context(), "eth1", frame, times, every)
	}
	return []way{
		{name: "a peer", from: h3.Addr, send: by(h3.End()), passes: true},
		{name: "no peer's address of the underlay", from: netip.MustParseAddr("10.90.0.200"), send: by(h3.End()), unmatched: true},
		{name: "a host beyond the router", from: a.l.Outside().Addr, send: by(a.l.Outside()), unmatched: true},
		{name: "a peer's address on another device", from: h3.Addr, send: second},
		{name: "a peer's address in a container of this host", from: h3.Addr, send: by(container(t, h2, "c1"))},
		{name: "a peer's address in a container of another network", from: h3.Addr, send: by(container(t, h2, "app"))},
		{name: "a peer's address in a container of another host", from: h3.Addr, send: by(container(t, h1, "c1")), elsewhere: true},
	}
}

// hardwareAddr is the MAC address of a device of a host.
func hardwareAddr(t *testing.T, h *testenv.Host, dev string) net.HardwareAddr {
	t.Helper()
	_, rest, _ := strings.Cut(run(t, h, "ip", "-o", "link", "show", dev), "link/ether ")
	word, _, _ := strings.Cut(rest, " ")
	mac, err := net.ParseMAC(word)
	must(t, err)
	return mac
}

// arriving judges the tunnel packets that h2's kernel receives, by what reaches a
// container and by what Open vSwitch gets to see: for each type of tunnel, with the
// rules of the guard, and without them, to show that it is them.
func (a *attack) arriving(t *testing.T, l *testenv.Lab) {
	onKernel(t)
	h2, h3 := l.Host(2), l.Host(3)
	run(t, h2, "docker", "run", "-d", "--name", "app", "--network", "proj", "--stop-signal", "KILL", testenv.Image)
	defer run(t, h2, "docker", "rm", "-f", "app")
	c2 := container(t, h2, "c2")
	listener, err := c2.Listen(t.Context())
	must(t, err)
	defer func() { must(t, listener.Close()) }()
	key, err := strconv.ParseUint(setting(t, h2, "tunnel.key"), 10, 24)
	must(t, err)
	ways := a.ways(t)
	at := arrival{
		attack: a, key: uint32(key), peer: a.mac(h3), own: a.mac(h2),
		inner: container(t, h3, "c1").Addr, last: container(t, h3, "c2"), listener: listener,
	}
	for _, at.kind = range []string{"gre", "vxlan", "geneve"} {
		if at.kind != "gre" {
			reconfigure(t, l, l.Host(1), "tunnel.type", at.kind)
			tunnelsAre(t, l, at.kind, fmt.Sprint(key))
		}
		at.device = tcpdump(t, h2, "-i", tunnelDevice[at.kind], "udp and dst host "+c2.Addr.String())
		for _, w := range ways {
			if in, seen := at.judge(t, w); in > 0 != w.passes || seen > 0 != w.passes {
				t.Errorf("%s from %s: the container gets %d packets, Open vSwitch sees %d", at.kind, w.name, in, seen)
			}
		}
		a.withoutGuard(t, h2, func() {
			for _, w := range ways {
				if in, seen := at.judge(t, w); !w.elsewhere && (seen == 0 || in > 0 == w.unmatched) {
					t.Errorf("%s from %s, without the guard: the container gets %d packets, Open vSwitch sees %d; the test proves nothing",
						at.kind, w.name, in, seen)
				}
			}
		})
	}
	reconfigure(t, l, l.Host(1), "tunnel.type", "gre")
}

// packet is one for h2's container, within a tunnel packet with that outer source.
func (a arrival) packet(from netip.Addr) []byte {
	inner := testenv.UDPPacket(netip.AddrPortFrom(a.inner, forgedPort), a.listener.Addr, 64, []byte("x"))
	frame, to := testenv.Frame(a.peer, a.own, inner), a.l.Host(2).Addr
	switch a.kind {
	case "gre":
		return testenv.GREPacket(from, to, a.key, frame)
	case "vxlan":
		return testenv.VXLANPacket(from, to, a.key, frame)
	}
	return testenv.GenevePacket(from, to, a.key, frame)
}

// judge sends tunnel packets to h2 and counts those that its container gets, and
// those that come by the tunnels' device. A last packet, which passes, tells when
// all before it have or have not.
func (a arrival) judge(t *testing.T, w way) (in, seen int) {
	t.Helper()
	captured := func(text string) int {
		out, err := os.ReadFile(a.device.file)
		must(t, err)
		return bytes.Count(out, []byte(text))
	}
	forged, marker := fmt.Sprintf(" %s.%d > ", a.inner, forgedPort), fmt.Sprintf(" %s.", a.last.Addr)
	before, seenBefore := a.listener.Seen(), captured(forged)
	must(t, w.send(a.packet(w.from)))
	markers := captured(marker)
	testenv.Eventually(t, soon, func() error {
		if _, err := a.last.Send(t.Context(), a.listener.Addr, 1, time.Millisecond); err != nil {
			return err
		}
		if a.listener.Seen()[a.last.Addr] == before[a.last.Addr] || captured(marker) == markers {
			return fmt.Errorf("%s from %s: nothing from %s has come after it", a.kind, w.name, a.last.Name)
		}
		return nil
	})
	return a.listener.Seen()[a.inner] - before[a.inner], captured(forged) - seenBefore
}

// withoutGuard takes the rules from a host while its agent, which would bring them
// back, is stopped.
func (a *attack) withoutGuard(t *testing.T, h *testenv.Host, f func()) {
	t.Helper()
	must(t, h.StopAgent(t.Context(), syscall.SIGTERM))
	run(t, h, "nft", "delete", "table", "inet", "gremesh")
	f()
	must(t, h.StartAgent(t.Context()))
	testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	whole(t, a.l)
}
