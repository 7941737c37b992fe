package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/bridge"
)

// inside marks the test process that lives in a network namespace of its own.
const inside = "GREMESH_PROBE_TEST_NETNS"

func TestMain(m *testing.M) {
	if os.Getenv(responder) != "" {
		fmt.Fprintln(os.Stderr, "answer as all peers:", respond())
		os.Exit(1)
	}
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

// space is a network namespace that lasts as long as the test, by the process
// that has it.
func space(t testing.TB) int {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

func sh(t testing.TB, script string) {
	t.Helper()
	if out, err := exec.CommandContext(context.Background(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// pair is this host, with docker0 and br0 as a port of it, and a peer whose br0
// is the other end of a wire.
type pair struct {
	t    testing.TB
	peer int
}

func newPair(t testing.TB) pair {
	t.Helper()
	if os.Getenv(inside) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	p := pair{t, space(t)}
	sh(t, fmt.Sprintf("ip link add br0 type veth peer name br0 netns %d", p.peer))
	t.Cleanup(func() { sh(t, "ip link del br0; ip link del docker0") })
	p.docker0()
	p.in(end(other, self))
	return p
}

func (p pair) docker0() { p.t.Helper(); sh(p.t, end(self, other)) }

// end makes a docker0 as a host has it for its peer.
func end(own, peer netip.Addr) string {
	return fmt.Sprintf(`ip link set lo up; ip link add docker0 address %[1]s type bridge; ip addr add %[2]s/24 dev docker0
		ip link set br0 master docker0 up; ip link set docker0 up; bridge link set dev br0 flood off mcast_flood off bcast_flood off
		bridge fdb replace %[3]s dev br0 master static; ip route replace %[4]s/24 dev docker0`, bridge.MAC(own), own, bridge.MAC(peer), netip.PrefixFrom(peer, 24).Masked().Addr())
}

// in runs a script on the peer.
func (p pair) in(script string) {
	p.t.Helper()
	sh(p.t, "nsenter --net=/proc/"+strconv.Itoa(p.peer)+"/ns/net sh -ec '"+script+"'")
}

// run probes until the test ends.
func run(t testing.TB, peers ...netip.Addr) *Prober {
	t.Helper()
	p := New(Config{Bridge: "docker0", Port: "br0", Log: slog.New(slog.DiscardHandler)})
	p.Set(Targets{Self: self, Peers: peers})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// becomes waits until a path is as it should be.
func becomes(t testing.TB, p *Prober, within time.Duration, what string, is func(Path) bool) {
	t.Helper()
	began := time.Now()
	for {
		path := p.Path(other)
		if is(path) {
			t.Logf("%s: %+v after %s", what, path, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > within {
			t.Fatalf("%s: not within %s: %+v, trouble %v", what, within, path, p.Trouble())
		}
		select {
		case <-p.Changed():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

const (
	cut  = `nft "add table bridge cut; add chain bridge cut o { type filter hook output priority 0; policy drop; }"`
	mend = "nft delete table bridge cut"
)

const soon = 15 * time.Second

func is(s State) func(Path) bool { return func(p Path) bool { return p.State == s } }

// TestAPeerAnswersWhateverItsFirewallSays has the settings of the peer that drop
// or ignore other probes.
func TestAPeerAnswersWhateverItsFirewallSays(t *testing.T) {
	pair := newPair(t)
	pair.in(`nft "add table ip t; add chain ip t i { type filter hook input priority -300; policy drop; }; add chain ip t f { type filter hook forward priority 0; policy drop; }; add chain ip t o { type filter hook output priority 0; policy drop; }"
		sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.docker0.rp_filter=1 net.ipv4.conf.docker0.arp_filter=1 net.ipv4.conf.docker0.arp_ignore=2
		ip route del 172.17.42.0/24`)
	p := run(t, other)
	becomes(t, p, soon, "up", func(p Path) bool {
		return p.State == Up && p.Full == Up && p.Loss < 1 && p.RoundTrip > 0 && p.RoundTrip < patience
	})
	pair.in(`test -z "$(ip neigh show dev docker0)"`) // it has learned nothing
}

func TestAPathThatIsCutIsDownAndComesBack(t *testing.T) {
	pair := newPair(t)
	p := run(t, other)
	becomes(t, p, soon, "up", is(Up))
	sh(t, cut)
	becomes(t, p, soon, "down", is(Down))
	sh(t, mend)
	becomes(t, p, soon, "up again", is(Up))
	pair.in("ip link set br0 nomaster") // the peer's half of the way
	becomes(t, p, soon, "down", is(Down))
}

func TestFramesOfTheFullSizeAreTriedByThemselves(t *testing.T) {
	pair := newPair(t)
	p := run(t, other)
	becomes(t, p, soon, "up", func(p Path) bool { return p.State == Up && p.Full == Up })
	pair.in("ip link set br0 mtu 1400") // frames that are longer are dropped there
	becomes(t, p, 2*soon, "small frames alone", func(p Path) bool { return p.State == Up && p.Full == Down })
	sh(t, "ip link set docker0 mtu 1400")
	becomes(t, p, 2*soon, "all that docker0 takes", func(p Path) bool { return p.State == Up && p.Full == Up })
}

// TestALocalContainerCannotForgeAnAnswer has one that claims to be the peer.
func TestALocalContainerCannotForgeAnAnswer(t *testing.T) {
	newPair(t)
	sh(t, "ip link add c0 type veth peer name c1; ip link set c0 master docker0 up; ip link set c1 up")
	t.Cleanup(func() { sh(t, "ip link del c0") })
	sh(t, cut)
	t.Cleanup(func() { sh(t, mend) })
	device, err := net.InterfaceByName("c1")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // a test's
	heard, err := open(self, "docker0", "br0")
	if err != nil {
		t.Fatal(err)
	}
	defer heard.close()
	p := run(t, other)
	forged := 0
	for end := time.Now().Add(soon); p.Path(other).State == Unknown; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still unknown")
		}
		if err := unix.Sendto(fd, reply(other, self), 0, &unix.SockaddrLinklayer{Ifindex: device.Index}); err != nil {
			t.Fatal(err)
		}
		if err := heard.hear(func(a answer) {
			if a.where == onPort {
				t.Error("seen on br0")
			}
			forged++
		}); err != nil {
			t.Fatal(err)
		}
	}
	if path := p.Path(other); path.State != Down || forged == 0 {
		t.Errorf("%+v after %d forged answers that docker0 took", path, forged)
	}
}

func TestDevicesThatAreCreatedAgainAreFound(t *testing.T) {
	pair := newPair(t)
	p := run(t, other)
	becomes(t, p, soon, "up", is(Up))
	sh(t, "ip link del docker0")
	becomes(t, p, soon, "down", is(Down))
	if err := p.Trouble(); err != nil {
		t.Error(err)
	}
	pair.docker0()
	becomes(t, p, soon, "up again", is(Up))
}

// TestTargetsMayChange keeps what is known of those that stay.
func TestTargetsMayChange(t *testing.T) {
	newPair(t)
	third := netip.MustParseAddr("172.17.44.1")
	p := run(t, other, third)
	becomes(t, p, soon, "up", is(Up))
	p.Set(Targets{Self: self, Peers: []netip.Addr{other}})
	if paths := p.Paths(); len(paths) != 1 || paths[other].State != Up {
		t.Errorf("%+v", paths)
	}
	p.Set(Targets{})
	if paths := p.Paths(); len(paths) != 0 {
		t.Errorf("%+v", paths)
	}
	p.Set(Targets{Self: self, Peers: []netip.Addr{other}})
	becomes(t, p, soon, "up again", is(Up))
}
