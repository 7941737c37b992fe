package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// tunnels are captures of what hosts send into their tunnels.
type tunnels struct {
	lab  *testenv.Lab
	bips []netip.Addr
	sent []*capture
}

func watchTunnels(t *testing.T, l *testenv.Lab) tunnels {
	t.Helper()
	w := tunnels{lab: l}
	for _, h := range l.Hosts() {
		w.bips = append(w.bips, status(t, h).Host.Bip.Addr())
		w.sent = append(w.sent, tcpdump(t, h, "-Q", "out", "-i", "eth0", "ip proto 47"))
	}
	return w
}

// count is how many of the frames sent before are described by these words of
// tcpdump's. Pings from all to all show that the captures have come so far.
func (w tunnels) count(t *testing.T, words string) int {
	t.Helper()
	frames := 0
	for i, h := range w.lab.Hosts() {
		for j, bip := range w.bips {
			if j == i {
				continue
			}
			testenv.Eventually(t, soon, func() error { return h.Ping(t.Context(), "", bip, 0) })
			testenv.Eventually(t, soon, func() error {
				if w.sent[i].says(t, fmt.Sprintf("> %s: ICMP echo request", bip)) == 0 {
					return fmt.Errorf("no ping from %s to %s is captured", h.Name, bip)
				}
				return nil
			})
		}
		frames += w.sent[i].says(t, words)
	}
	return frames
}

// says counts the lines with these words.
func (c *capture) says(t *testing.T, words ...string) int {
	t.Helper()
	text, err := os.ReadFile(c.file)
	must(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		if containsAll(line, words...) {
			n++
		}
	}
	return n
}

const times = 100 // that something local is asked for

// askLocally has an end ask so many times who has a local address; someone has
// it, who now and then asks back and so answers before. It returns how often the
// bridge has heard that, up to a last question for an address that nobody has.
func askLocally(t *testing.T, h *testenv.Host, from testenv.End, dev string, who netip.Addr) (asked int, words string) {
	t.Helper()
	const request = "Request who-has %s "
	words = fmt.Sprintf(request, who)
	heard := tcpdump(t, h, "-i", "docker0", "arp and ether broadcast") // not the probes of what is known
	b := who.As4()
	last := netip.AddrFrom4([4]byte{b[0], b[1], b[2], 201})
	script := fmt.Sprintf("for i in $(seq %d); do ip neigh flush to %s dev %s; ping -nq -c1 -W1 %s || exit 1; done; ping -nq -c1 -W1 %s; true",
		times, who, dev, who, last)
	if out, err := from.Command(t.Context(), "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s asks for %s: %v\n%s", from.Name, who, err, out)
	}
	testenv.Eventually(t, soon, func() error {
		if heard.says(t, fmt.Sprintf(request, last)) == 0 {
			return fmt.Errorf("%s has not asked for %s", from.Name, last)
		}
		return nil
	})
	if asked = heard.says(t, words); asked < times*9/10 {
		t.Fatalf("%s has asked %d times", from.Name, asked)
	}
	return asked, words
}

// localStaysLocal sends what a bridge gives to all its ports: 100 questions,
// multicast, and packets to a MAC that is nowhere.
func localStaysLocal(t *testing.T, l *testenv.Lab) {
	h := l.Host(1)
	w, c1 := watchTunnels(t, l), container(t, h, "c1")
	_, arps := askLocally(t, h, c1, "eth0", container(t, h, "c2").Addr)

	group := netip.MustParseAddrPort("239.77.0.1:4711")
	_, err := c1.Send(t.Context(), group, 10, 0)
	must(t, err)

	nowhere := netip.AddrFrom4([4]byte{172, 17, c1.Addr.As4()[2], 200})
	run(t, h, append(inContainer(t, h, "c1"), "ip", "neigh", "replace", nowhere.String(), "lladdr", "02:42:00:00:00:c8", "dev", "eth0")...)
	_, err = c1.Send(t.Context(), netip.AddrPortFrom(nowhere, 4711), 10, 0)
	must(t, err)

	for _, words := range []string{arps, fmt.Sprintf("> %s.4711", group.Addr()), fmt.Sprintf("> %s.4711", nowhere)} {
		if n := w.count(t, words); n != 0 {
			t.Errorf("%d frames in the tunnels: %s", n, words)
		}
	}
}

// localARPsAreCopied is the price of one broadcast domain.
func localARPsAreCopied(t *testing.T, l *testenv.Lab) {
	h := l.Host(1)
	w := watchTunnels(t, l)
	asked, arps := askLocally(t, h, container(t, h, "c1"), "eth0", container(t, h, "c2").Addr)
	if n, want := w.count(t, arps), asked*(len(l.Hosts())-1); n != want {
		t.Errorf("%d local ARPs make %d frames in the tunnels, want %d", asked, n, want)
	}
}

// ownARPsStayLocal is about the bridge's own broadcasts, which the kernel sends
// by every port, whatever its flags.
func ownARPsStayLocal(t *testing.T, l *testenv.Lab) {
	h := l.Host(1)
	w := watchTunnels(t, l)
	asked, arps := askLocally(t, h, h.End(), "docker0", container(t, h, "c1").Addr)
	if n := w.count(t, arps); n != 0 {
		t.Errorf("docker0's %d ARPs for a local container make %d frames in the tunnels", asked, n)
	}
}

// multicastPassesSnooping has one bridge ask who is in which group: all others
// then send only where someone is.
func multicastPassesSnooping(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	// Intervals are in 10 ms. For that of a response after it begins to ask, a
	// bridge floods.
	bridge := []string{"ip", "link", "set", "docker0", "type", "bridge"}
	run(t, h1, append(bridge, "mcast_query_interval", "100", "mcast_startup_query_interval", "100", "mcast_query_response_interval", "10")...)
	run(t, h1, append(bridge, "mcast_querier", "1")...)
	group := netip.MustParseAddr("239.77.0.2")
	listener, err := container(t, h2, "c1").At(group).Listen(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, listener.Close()) })
	testenv.Eventually(t, soon, func() error {
		mdb, err := h1.Exec(ctx, "bridge", "mdb", "show", "dev", "docker0")
		if err == nil && !strings.Contains(mdb, "port br0 grp "+group.String()) {
			err = fmt.Errorf("%s knows of no member beyond br0: %s", h1.Name, mdb)
		}
		return err
	})
	w, nobodys := watchTunnels(t, l), netip.MustParseAddrPort("239.77.0.3:4711")
	sent := 0
	testenv.Eventually(t, soon, func() error {
		_, err := container(t, h1, "c1").Send(ctx, nobodys, 1, 0)
		must(t, err)
		before := sent
		if sent = w.count(t, fmt.Sprintf("> %s.4711", nobodys.Addr())); sent != before {
			return fmt.Errorf("what no one wants makes %d frames in the tunnels", sent-before)
		}
		return nil
	})
	for _, from := range []testenv.End{container(t, h1, "c1"), container(t, h3, "c1")} {
		echoes, err := from.Send(ctx, listener.Addr, 10, 0)
		if err != nil || echoes.Sources[from.Addr] != 10 {
			t.Errorf("from %s: %+v, %v", from.Name, echoes, err)
		}
	}
}
