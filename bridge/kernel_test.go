package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// inside marks the test process that lives in a network namespace of its own.
const inside = "GREMESH_BRIDGE_TEST_NETNS"

// TestMain runs the whole test binary anew in a fresh network namespace:
// setns is per thread, so one process must not hop between them.
func TestMain(m *testing.M) {
	if os.Getuid() != 0 || os.Getenv(inside) != "" {
		goleak.VerifyTestMain(m)
		return
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests in a network namespace:", err)
		os.Exit(1)
	}
}

// namespace gives a test the process's namespace in its first state.
func namespace(t *testing.T) *Kernel {
	t.Helper()
	if os.Getenv(inside) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	sh(t, "ip link set lo up; sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.all.send_redirects=1")
	t.Cleanup(func() {
		sh(t, `for l in $(ls /proc/sys/net/ipv4/conf); do
			case $l in all|default|lo|gre0|gretap0|erspan0|tunl0|ip_vti0|sit0) ;; *) ip link del $l 2>/dev/null || true ;; esac
		done; ip route flush proto 77; ip route flush proto static`)
	})
	return New(Config{Bridge: "docker0", Port: "br0", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
}

func sh(t *testing.T, script string) string {
	t.Helper()
	const tap = "tap() { ip tuntap add dev $1 mode tap; }\n" // what br0 is on the userspace datapath
	out, err := exec.CommandContext(context.Background(), "sh", "-ec", tap+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func diff(t *testing.T, k *Kernel, want Spec) []Change {
	t.Helper()
	have, err := k.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Diff(want, have)
}

// reach applies want and checks that nothing is left to do.
func reach(t *testing.T, k *Kernel, want Spec) {
	t.Helper()
	if err := k.Apply(t.Context(), diff(t, k, want)); err != nil {
		t.Fatal(err)
	}
	if again := render(diff(t, k, want)); again != "" {
		t.Fatalf("a second pass would still change:\n%s", again)
	}
}

// uplink is the way to the peer that is reached without a tunnel.
const uplink = `
	ip -br link show eth1 >/dev/null 2>&1 || { tap eth1; ip addr add 192.0.2.1/24 dev eth1; ip link set eth1 up; }`

// starts are states that a host may be found in.
var starts = map[string]string{
	"nothing":                "true",
	"a switch":               "tap br0",
	"docker0 made by Docker": "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 brd + dev docker0; ip link set docker0 up",
	"docker0 and a switch": `tap br0; ip link add docker0 type bridge
		ip addr add 172.17.0.1/16 brd + dev docker0; ip link set docker0 up`,
	"the recipe by hand": `tap br0; ip link add docker0 type bridge
		ip addr add 172.17.42.1/24 dev docker0; ip link set br0 up; ip link set docker0 up
		ip link set br0 master docker0; ip route add 172.17.0.0/16 dev docker0`,
	"another address of our network": `ip link add docker0 type bridge; ip link set docker0 up
		ip addr add 172.17.42.254/24 dev docker0; ip addr add 172.17.42.253/24 dev docker0; ip route add 172.17.0.0/16 dev docker0 proto 77`,
	"the bip as a secondary address": `ip link add docker0 type bridge; ip link set docker0 up
		ip addr add 172.17.42.254/24 dev docker0; ip addr add 172.17.42.1/24 dev docker0; ip route add 172.17.0.0/16 dev docker0 proto 77`,
	"the bip with a wider network": "ip link add docker0 type bridge; ip addr add 172.17.42.1/16 dev docker0",
	"stale routes": `tap eth1; ip addr add 192.0.2.1/24 dev eth1; ip link set eth1 up
		ip route add 172.17.0.0/16 dev eth1 proto 77; ip route add 10.9.0.0/16 via 192.0.2.9 proto 77 metric 7`,
	"the switch in another bridge": "ip link add br1 type bridge; tap br0; ip link set br0 master br1",
}

func TestApplyReachesTheHostAndIsThenSilent(t *testing.T) {
	for name, script := range starts {
		t.Run(name, func(t *testing.T) {
			k := namespace(t)
			sh(t, script+uplink)
			reach(t, k, want)
			reach(t, k, peered)
			reach(t, k, want)
		})
	}
}

func TestPrintedCommandsDoTheSame(t *testing.T) {
	// What ip(8) shows, but for what differs from one run to the next.
	const state = `ip -br addr show dev docker0 | tr -s ' '; ip -4 route; ip -d link show docker0 | grep -o 'mtu [0-9]*\|link/ether [0-9a-f:]*'
		ip neigh show dev docker0 nud permanent | sort
		[ ! -e /proc/sys/net/ipv4/conf/br0 ] || { ip -br link show master docker0 | cut -d ' ' -f 1
			bridge fdb show dev br0 | grep static | sort; bridge -d link show dev br0 | grep -o '[a-z]*flood [a-z]*'; }
		ip -4 addr show docker0 | grep -o 'inet .*'`
	for name, script := range starts {
		t.Run(name, func(t *testing.T) {
			var applied string
			t.Run("apply", func(t *testing.T) {
				k := namespace(t)
				sh(t, script+uplink)
				reach(t, k, peered)
				applied = withoutIPv6(sh(t, state))
			})
			t.Run("commands", func(t *testing.T) {
				k := namespace(t)
				sh(t, script+uplink)
				for _, c := range diff(t, k, peered) {
					sh(t, strings.Join(c.Commands, "\n"))
				}
				if left := render(diff(t, k, peered)); left != "" {
					t.Errorf("left to do:\n%s", left)
				}
				if got := withoutIPv6(sh(t, state)); got != applied {
					t.Errorf("commands made\n%s\nApply made\n%s", got, applied)
				}
			})
		})
	}
}

// withoutIPv6 drops link-local addresses, which come when they like.
func withoutIPv6(s string) string {
	var keep []string
	for f := range strings.FieldsSeq(s) {
		if !strings.HasPrefix(f, "fe80:") {
			keep = append(keep, f)
		}
	}
	return strings.Join(keep, " ")
}

func TestApplyMendsWhatIsBroken(t *testing.T) {
	for name, script := range map[string]string{
		"the aggregate route is deleted": "ip route del 172.17.0.0/16 dev docker0",
		"docker0's MAC changes":          "ip link set docker0 address 02:42:00:00:00:07",
		"docker0's MTU changes":          "ip link set docker0 mtu 1400",
		"docker0 goes down":              "ip link set docker0 down",
		"br0 is taken out":               "ip link set br0 nomaster",
		"br0 goes down":                  "ip link set br0 down",
		"br0 is made anew":               "ip link del br0; tap br0",
		"docker0 is deleted":             "ip link del docker0",
		"dockerd rewrites the address":   "ip addr flush dev docker0; ip addr add 172.17.0.1/16 dev docker0",
		"forwarding is turned off":       "sysctl -qw net.ipv4.ip_forward=0",
		"a peer's route is deleted":      "ip route del 172.17.43.0/24",
		"a peer's neighbour is deleted":  "ip neigh del 172.17.43.1 dev docker0",
		"a peer's neighbour is another":  "ip neigh replace 172.17.43.1 lladdr 02:00:00:00:00:07 dev docker0 nud permanent",
		"a peer's forwarding is deleted": "bridge fdb del 02:42:ac:11:2b:01 dev br0 master",
		"flooding is turned on":          "bridge link set dev br0 bcast_flood on",
		"notices are turned off":         "sysctl -qw net.ipv4.conf.docker0.arp_notify=0",
		"redirects are turned on":        "sysctl -qw net.ipv4.conf.docker0.send_redirects=1 net.ipv4.conf.all.send_redirects=1",
	} {
		t.Run(name, func(t *testing.T) {
			k := namespace(t)
			sh(t, "tap br0"+uplink)
			reach(t, k, peered)
			sh(t, script)
			if len(diff(t, k, peered)) == 0 {
				t.Fatal("not noticed")
			}
			reach(t, k, peered)
		})
	}
}

func TestDockersMACStaysWhenPortsJoin(t *testing.T) {
	k := namespace(t)
	reach(t, k, want)
	sh(t, `tap br0; ip link set br0 address 02:00:00:00:00:01; tap veth0; ip link set veth0 address 02:00:00:00:00:02 mtu 1400`)
	reach(t, k, want)
	sh(t, `ip link set veth0 master docker0; ip link set veth0 up`)
	if d := render(diff(t, k, want)); d != "" {
		t.Errorf("a port changed docker0:\n%s", d)
	}
}

func TestContainersEndsOfADeletedBridgeArePutBack(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0")
	reach(t, k, want)
	sh(t, `ip link add veth1 type veth peer name in1; ip link set veth1 master docker0 up
		ip link add veth2 type veth peer name in2; ip link set veth2 master docker0 up`)
	reach(t, k, want)
	sh(t, "ip link set veth2 nomaster; ip link add veth3 type veth peer name in3") // by choice, and never one
	reach(t, k, want)
	sh(t, "ip link del docker0")
	reach(t, k, want)
	have, err := k.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(have.Attached, []string{"veth1"}) {
		t.Errorf("docker0 was made anew with the ports %s, want veth1", have.Attached)
	}
}

func TestForeignThingsStay(t *testing.T) {
	k := namespace(t)
	sh(t, `ip link add docker0 type bridge; ip link set docker0 up; tap br0
		ip addr add 172.17.0.1/16 dev docker0; ip addr add 192.168.7.1/24 dev docker0
		tap veth0; ip link set veth0 master docker0
		ip route add 10.1.0.0/16 dev docker0 proto static; ip route add 10.2.0.0/16 via 192.168.7.9 proto static
		tap eth1; ip link set eth1 up; ip addr add 192.0.2.1/24 dev eth1`)
	const foreign = `ip -4 addr show dev docker0 | grep -o 'inet 192.*'; ip route show proto static; ip route show dev eth1
		ip -br link show master docker0 | grep -o veth0; sysctl net.ipv4.conf.eth1.send_redirects net.ipv4.conf.lo.send_redirects`
	before := sh(t, foreign)
	reach(t, k, want)
	if after := sh(t, foreign); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	reach(t, k, Spec{})
	if after := sh(t, foreign); after != before {
		t.Errorf("before\n%s\nafter the removal\n%s", before, after)
	}
}

func TestZeroHostRemovesOnlyOurs(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0"+uplink+"; ip route add 10.9.0.0/16 dev eth1 proto 77")
	reach(t, k, peered)
	sh(t, "ip neigh replace 172.17.42.7 lladdr 02:00:00:00:00:07 dev docker0 nud permanent")
	reach(t, k, Spec{})
	have, err := k.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if have.OVSPort.Master != "" || !have.Bridge.Up || have.Bridge.MAC.String() != "02:42:ac:11:2a:01" || len(have.Addrs) != 1 {
		t.Errorf("%+v", have)
	}
	if left := sh(t, "ip route show proto 77"); left != "" {
		t.Errorf("left: %s", left)
	}
	if left := sh(t, "ip neigh show nud permanent"); !strings.HasPrefix(left, "172.17.42.7 ") || strings.Count(left, "\n") != 1 {
		t.Errorf("neighbours left, want the foreign one: %s", left)
	}
}

func TestApplyGoesOnAfterAnErrorAndSaysWhatFailed(t *testing.T) {
	k := namespace(t)
	sh(t, "tap docker0; tap br0; ip link set docker0 up")
	err := k.Apply(t.Context(), diff(t, k, want))
	if err == nil || !strings.Contains(err.Error(), "ip link set dev br0 master docker0: ") {
		t.Errorf("got %v", err)
	}
	left := diff(t, k, want)
	if len(left) != 1 || left[0].Object != "link br0 master" {
		t.Errorf("left:\n%s", render(left))
	}
}

func TestAForeignRouteInTheWayIsReported(t *testing.T) {
	k := namespace(t)
	sh(t, "tap eth1; ip link set eth1 up; ip route add 172.17.0.0/16 dev eth1 proto static")
	err := k.Apply(t.Context(), diff(t, k, want))
	if err == nil || !strings.Contains(err.Error(), "ip route show 172.17.0.0/16") {
		t.Errorf("got %v", err)
	}
}

func TestRunSignalsChangesOfOurs(t *testing.T) {
	k := namespace(t)
	sh(t, "tap br0")
	reach(t, k, want)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	woken(t, k, "start")

	for _, script := range []string{
		"ip route del 172.17.0.0/16 dev docker0",
		"ip route add 172.17.0.0/16 dev docker0 proto 77",
		"ip addr add 172.17.9.1/24 dev docker0",
		"ip link set docker0 address 02:42:00:00:00:07",
		"ip link set br0 nomaster",
		"ip neighbour replace 172.17.43.1 lladdr 02:42:ac:11:2b:01 dev docker0 nud permanent",
		"ip neighbour replace 172.17.43.1 lladdr 02:42:ac:11:2b:02 dev docker0 nud reachable",
		"ip neighbour replace 172.17.44.1 lladdr 02:42:ac:11:2c:01 dev docker0 nud permanent",
		"ip neighbour del 172.17.44.1 dev docker0",
		"sysctl -qw net.ipv4.ip_forward=0",
		"sysctl -qw net.ipv4.conf.docker0.send_redirects=1",
		"sysctl -qw net.ipv4.conf.docker0.send_redirects=0",
		"ip link del br0",
		"tap br0",
		"ip link set br0 mtu 1400",
		"ip link set docker0 down",
		"ip link del docker0",
		"tap eth1; ip link set eth1 name docker0",
	} {
		sh(t, script)
		woken(t, k, script)
		quiet(t, k, 50*time.Millisecond)
	}
	// A docker0 that is another device has other sysctls; this look at them, and
	// not the one once a second, is the last that has news.
	diff(t, k, want)
	quiet(t, k, 300*time.Millisecond)

	sh(t, `tap eth2; ip addr add 192.0.2.1/24 dev eth2; ip link set eth2 up
		ip neighbour replace 192.0.2.9 lladdr 02:42:00:00:00:09 dev eth2 nud permanent
		ip neighbour replace 172.17.42.9 lladdr 02:42:00:00:00:09 dev docker0 nud stale
		ip neighbour del 172.17.42.9 dev docker0
		ip route add 10.5.0.0/16 via 192.0.2.9; ip link del eth2`)
	// A marker of ours, so that what came before it has been judged.
	quietUntil(t, k, "ip link set docker0 mtu 1300")

	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func woken(t *testing.T, k *Kernel, by string) {
	t.Helper()
	select {
	case <-k.Changed():
	case <-time.After(5 * time.Second):
		t.Fatalf("no signal after %s", by)
	}
}

// quiet takes the signals of a command that gives several notices.
func quiet(t *testing.T, k *Kernel, long time.Duration) {
	t.Helper()
	for {
		select {
		case <-k.Changed():
		case <-time.After(long):
			return
		}
	}
}

// quietUntil checks that no signal is pending, and that script gives one.
func quietUntil(t *testing.T, k *Kernel, script string) {
	t.Helper()
	select {
	case <-k.Changed():
		t.Error("a signal for what does not concern us")
	case <-time.After(100 * time.Millisecond):
	}
	sh(t, script)
	woken(t, k, script)
}

// An audit mends nothing, so what it was the first to see is still to be
// signalled.
func TestASysctlThatAnAuditSawFirstIsSignalled(t *testing.T) {
	k := namespace(t)
	reach(t, k, want)
	sh(t, "sysctl -qw net.ipv4.ip_forward=0")
	diff(t, k, want)
	woken(t, k, "a sysctl that was read meanwhile")
}

func TestRunSurvivesLostNotices(t *testing.T) {
	k := namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	woken(t, k, "start")
	// 20,000 routes at once overflow the socket's buffer.
	sh(t, `tap eth1; ip link set eth1 up
		i=0; while [ $i -lt 20000 ]; do echo "route add 10.$((i/256)).$((i%256)).0/24 dev eth1"; i=$((i+1)); done | ip -batch -
		ip link del eth1; ip link add docker0 type bridge`)
	woken(t, k, "a flood")
	quiet(t, k, 300*time.Millisecond)
	sh(t, "ip link set docker0 up")
	woken(t, k, "ip link set docker0 up")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestUnderlay(t *testing.T) {
	namespace(t)
	sh(t, `tap eth1; ip link set eth1 mtu 1480; ip link set eth1 up; ip addr add 192.0.2.1/24 dev eth1
		tap eth2; ip addr add 198.51.100.1/24 dev eth2; ip addr add 198.51.100.2/24 dev eth2
		tap eth3; ip route add default via 192.0.2.9; ip route add 0.0.0.0/1 via 192.0.2.8`)
	defer sh(t, "ip route flush 0.0.0.0/0; true")

	addr, link, mtu, err := Source(netip.MustParseAddr("203.0.113.5"))
	if err != nil || addr != netip.MustParseAddr("192.0.2.1") || link != "eth1" || mtu != 1480 {
		t.Errorf("Source: %v %v %v %v", addr, link, mtu, err)
	}
	for _, tt := range []struct{ advertise, want string }{
		{"192.0.2.1", "192.0.2.1 eth1 1480"},
		{"eth1", "192.0.2.1 eth1 1480"},
		{"198.51.100.2", "198.51.100.2 eth2 1500"},
		{"eth2", "device eth2 has several addresses, name one: 198.51.100.1, 198.51.100.2"},
		{"eth3", "device eth3 has no global address"},
		{"eth9", `"eth9" is neither an address nor a device of this host`},
		{"192.0.2.7", "no device of this host has the address 192.0.2.7"},
	} {
		addr, link, mtu, err := Resolve(tt.advertise)
		got := fmt.Sprint(addr, " ", link, " ", mtu)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Resolve(%s) = %q, want %q", tt.advertise, got, tt.want)
		}
	}

	sh(t, `ip link add docker0 type bridge; ip addr add 172.17.3.1/24 dev docker0
		ip link add br-other type bridge; ip addr add 172.30.0.1/24 dev br-other
		tap vnet1; ip link set vnet1 master br-other
		ip link add br-lan type bridge; ip addr add 203.0.113.1/24 dev br-lan
		ip link add lan0 link eth3 type macvlan; ip link set lan0 master br-lan
		ip addr add 172.17.9.9/32 dev eth1; ip addr add 169.254.1.1/16 dev eth1`)
	candidates, err := Candidates(netip.MustParsePrefix("172.17.0.0/16"), "docker0", "br0")
	if got := fmt.Sprint(candidates); err != nil || got != "[192.0.2.1 (eth1) 198.51.100.1 (eth2) 198.51.100.2 (eth2) 203.0.113.1 (br-lan)]" {
		t.Errorf("Candidates: %s, %v", got, err)
	}

	self, link, mtu, err := Source(addr)
	if err != nil || self != addr || link == "lo" || mtu > 1500 {
		t.Errorf("to itself by %s %s, MTU %d, %v", self, link, mtu, err)
	}
	for _, c := range []struct {
		script string
		down   bool
	}{{"true", false}, {"ip link set " + link + " down", true}, {"ip link set " + link + " up", false}} {
		sh(t, c.script)
		if down, err := IsDown(addr); err != nil || down != c.down {
			t.Errorf("%s: IsDown %t, %v", c.script, down, err)
		}
	}
	if down, err := IsDown(netip.MustParseAddr("192.0.2.99")); err != nil || down {
		t.Errorf("an address that is nowhere: IsDown %t, %v", down, err)
	}

	routes, err := Routes()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range routes {
		fmt.Fprintf(&b, "%s %s\n", r.Dst, r.Link)
	}
	for _, line := range []string{"192.0.2.0/24 eth1\n", "198.51.100.0/24 eth2\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("Routes lack %q:\n%s", line, &b)
		}
	}
	if strings.Contains(b.String(), "0.0.0.0/") && !strings.Contains(b.String(), "127.0.0.0/8 lo") {
		t.Errorf("Routes contain a default route:\n%s", &b)
	}
	pool := netip.MustParsePrefix("198.51.0.0/16")
	if all := Overlaps(pool, routes, "docker0", "br0"); len(all) != 1 || !all[0].Inside || all[0].String() != "198.51.100.0/24 (device eth2)" {
		t.Errorf("pool %s: overlaps %v", pool, all)
	}
}
