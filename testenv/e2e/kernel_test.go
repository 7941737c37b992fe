package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestKernelDatapath has what Open vSwitch in the kernel shows, and its
// userspace datapath does not.
func TestKernelDatapath(t *testing.T) {
	onKernel(t)
	l := startMesh(t, testenv.Config{Hosts: 3}, nil)
	inTurn(t, l,
		behaviour{"one device carries all tunnels", oneDevice},
		behaviour{"tunnels may not be fragmented, and have no checksum", outerHeaders},
		behaviour{"full-size packets pass", fullSizeOfHosts},
		behaviour{"both daemons restart", daemonsRestart},
		behaviour{"ovs-vswitchd takes its datapath along", datapathGoes},
		behaviour{"the database is lost, and the datapath is not", databaseIsLost},
		behaviour{"another's GRE device with a key", foreignKey},
		behaviour{"another's GRE device between the same addresses", foreignTwin},
		behaviour{"another's GRE device for all that is left", foreignCatchAll},
	)
}

// vports are the ports of a host's datapath in the kernel.
func vports(t *testing.T, h *testenv.Host) error {
	t.Helper()
	out, err := h.Exec(t.Context(), "ovs-appctl", "dpctl/show")
	if err != nil {
		return err
	}
	var names []string
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "port" {
			names = append(names, fields[2])
		}
	}
	slices.Sort(names)
	if want := []string{"br0", "gre_sys", "ovs-system"}; !slices.Equal(names, want) {
		return fmt.Errorf("%s: the datapath has the ports %s, want %s", h.Name, names, want)
	}
	return nil
}

// oneDevice is also about the devices that the kernel makes by itself with the
// first of GRE: they are nobody's.
func oneDevice(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		must(t, vports(t, h))
		if out := run(t, h, "ip", "-d", "link", "show", "gre_sys"); !containsAll(out, "gretap external", "master ovs-system") {
			t.Errorf("%s: %s", h.Name, out)
		}
		for _, name := range []string{"gre0", "gretap0", "erspan0"} {
			if out := run(t, h, "ip", "-br", "link", "show", name); !strings.Contains(out, "DOWN") {
				t.Errorf("%s: %s", h.Name, out)
			}
		}
	}
}

// outerHeaders reads what is on the wire: the flags of IP, and those of GRE.
func outerHeaders(t *testing.T, l *testenv.Lab) {
	h := l.Host(1)
	good := tcpdump(t, h, "-Q", "out", "-i", "eth0", "ip proto 47 and ip[6] & 0x40 != 0 and ip[20:2] = 0x2000")
	bad := tcpdump(t, h, "-Q", "out", "-i", "eth0", "ip proto 47 and (ip[6] & 0x40 = 0 or ip[20:2] != 0x2000)")
	must(t, reachesAll(t, l, 0))
	testenv.Eventually(t, soon, func() error {
		if good.lines(t) < 3 {
			return errors.New("nothing is captured yet")
		}
		return nil
	})
	if n := bad.lines(t); n > 0 {
		t.Errorf("%d packets may be fragmented, or have a checksum or sequence number, or lack the key", n)
	}
}

// reachesAll pings from the first host's docker0 to the others'.
func reachesAll(t *testing.T, l *testenv.Lab, size int) error {
	t.Helper()
	var errs []error
	for _, to := range l.Hosts()[1:] {
		errs = append(errs, l.Host(1).Ping(t.Context(), "", status(t, to).Host.Bip.Addr(), size))
	}
	return errors.Join(errs...)
}

// fullSizeOfHosts knows that the MTU of gre_sys is not what bounds packets.
func fullSizeOfHosts(t *testing.T, l *testenv.Lab) {
	const mtu = 1458
	must(t, reachesAll(t, l, mtu))
	if err := reachesAll(t, l, mtu+1); err == nil {
		t.Errorf("a packet of %d bytes is not refused", mtu+1)
	}
}

// recovers tells that the mesh and the datapaths are what they were.
func recovers(t *testing.T, l *testenv.Lab, began time.Time) {
	t.Helper()
	testenv.Eventually(t, soon, func() error { return reachesAll(t, l, 0) })
	whole(t, l)
	t.Logf("whole after %s", time.Since(began).Round(10*time.Millisecond))
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			err := errors.Join(vports(t, h), auditExit(t, h, 0))
			if found := problems(t, h); len(found) > 0 {
				err = errors.Join(err, fmt.Errorf("%s has problems: %+v", h.Name, found))
			}
			return err
		})
	}
}

// daemonsRestart is as `ovs-ctl restart`: the datapath stays, and what flows
// through it.
func daemonsRestart(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	index := func() string {
		number, _, _ := strings.Cut(run(t, h1, "ip", "-o", "link", "show", "br0"), ":")
		return number
	}
	before := index()
	pings := pingBip(t, h1, h2)
	began := time.Now()
	must(t, h1.StopOVS(t.Context()))
	must(t, h1.StartOVS(t.Context()))
	recovers(t, l, began)
	t.Logf("outage of docker0 to docker0: %s", pings.outage(t))
	if after := index(); after != before {
		t.Errorf("br0 had the index %s and has %s", before, after)
	}
}

// datapathGoes is as `ovs-ctl restart --delete-bridges`, or an upgrade that
// loads the module anew: all devices of Open vSwitch are gone meanwhile.
func datapathGoes(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	dropDatapath(t, h1)
	began := time.Now()
	must(t, h1.StartOVS(t.Context()))
	recovers(t, l, began)
}

// dropDatapath stops a host's Open vSwitch, and what it has in the kernel.
func dropDatapath(t *testing.T, h *testenv.Host) {
	t.Helper()
	run(t, h, "ovs-appctl", "exit", "--cleanup")
	testenv.Eventually(t, soon, func() error {
		if out, err := h.Exec(t.Context(), "ip", "link", "show", "gre_sys"); err == nil {
			return fmt.Errorf("it is there: %s", out)
		}
		return nil
	})
	must(t, h.StopOVS(t.Context()))
}

// databaseIsLost leaves ports in the kernel that no database knows.
func databaseIsLost(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	must(t, h1.StopOVS(t.Context()))
	must(t, h1.WipeOVS())
	began := time.Now()
	must(t, h1.StartOVS(t.Context()))
	recovers(t, l, began)
}

// theirs makes a GRE device of somebody else's on a host, to another one.
func theirs(t *testing.T, from, to *testenv.Host, address string, options ...string) (remove func()) {
	t.Helper()
	run(t, from, append([]string{"ip", "link", "add", "theirs", "type", "gretap", "local", from.Addr.String(), "remote", to.Addr.String()}, options...)...)
	run(t, from, "sh", "-ec", "ip address add "+address+" dev theirs; ip link set theirs up")
	return func() { run(t, from, "ip", "link", "delete", "theirs") }
}

func foreignKey(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	defer theirs(t, h1, h2, "10.77.0.1/24", "key", "7")()
	defer theirs(t, h2, h1, "10.77.0.2/24", "key", "7")()
	before := run(t, h1, "ip", "-d", "link", "show", "theirs")
	run(t, h1, "ping", "-nq", "-c2", "-W2", "10.77.0.2")
	recovers(t, l, time.Now())
	if after := run(t, h1, "ip", "-d", "link", "show", "theirs"); after != before {
		t.Errorf("it was\n%s\nand is\n%s", before, after)
	}
}

// foreignTwin takes what comes by the tunnel: the kernel asks for the closest
// match.
func foreignTwin(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	key := setting(t, h1, "tunnel.key")
	remove := theirs(t, h1, h2, "10.77.0.1/24", "key", key)
	testenv.Eventually(t, 30*time.Second+soon, func() error { // a pass comes every 30 s
		return problem(t.Context(), h1, "device theirs takes the GRE packets of h2", "ip link delete theirs")
	})
	must(t, h1.Ping(t.Context(), "", status(t, l.Host(3)).Host.Bip.Addr(), 0)) // which is another pair
	remove()
	recovers(t, l, time.Now())
}

// foreignCatchAll is in the place of gre_sys: the kernel has one such device.
func foreignCatchAll(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	dropDatapath(t, h1)
	run(t, h1, "sh", "-ec", "ip link add theirs type gretap external; ip link set theirs up")
	must(t, h1.StartOVS(t.Context()))
	testenv.Eventually(t, soon, func() error { return problem(t.Context(), h1, "port "+port(t, l.Host(2)), "File exists") })
	t.Logf("%+v", problems(t, h1))
	run(t, h1, "ip", "link", "delete", "theirs")
	recovers(t, l, time.Now())
}
