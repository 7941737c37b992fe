package pathmtu

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// inside marks the test process that lives in a network namespace of its own.
const inside = "GREMESH_PATHMTU_TEST_NETNS"

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

// space is a network namespace that lasts as long as the test, by the process
// that has it.
func space(t *testing.T) int {
	t.Helper()
	// The test's own context ends before its cleanups, and what leads here with it.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.CommandContext(context.Background(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func TestThroughARouter(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) {
		throughARouter(t, "10.7.1.", "10.7.2.", 24, "ip length > 1321", "ip protocol icmp")
	})
	t.Run("IPv6", func(t *testing.T) {
		throughARouter(t, "fd07:1::", "fd07:2::", 64, "ip6 length > 1281", "meta l4proto ipv6-icmp")
	})
}

// throughARouter measures a path from address 1 of one network to that of
// another. What is too long for the hole, an nft(8) expression, is 1,321 bytes.
func throughARouter(t *testing.T, near, beyond string, bits int, hole, icmp string) {
	if os.Getenv(inside) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	router, far := space(t), space(t)
	in := func(pid int, script string) {
		t.Helper()
		sh(t, "nsenter --net=/proc/"+strconv.Itoa(pid)+"/ns/net sh -ec '"+script+"'")
	}
	at := func(network, host string) string { return fmt.Sprintf("%s%s/%d", network, host, bits) }
	nodad, metric := "", ""
	if bits == 64 {
		nodad, metric = " nodad", " metric 256"
	}
	sh(t, fmt.Sprintf("ip link set lo up; ip link add near type veth peer name near netns %d; ip addr add %s dev near%s; ip link set near up", router, at(near, "1"), nodad))
	t.Cleanup(func() { sh(t, "ip link del near") })
	in(router, fmt.Sprintf(`ip link add far type veth peer name far netns %d
		ip addr add %s dev near%s; ip addr add %s dev far%s; ip link set near up; ip link set far up
		sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0`, far, at(near, "254"), nodad, at(beyond, "254"), nodad))
	in(far, fmt.Sprintf("ip addr add %s dev far%s; ip link set far up; ip route add default via %s254", at(beyond, "1"), nodad, beyond))
	sh(t, "ip route add default via "+near+"254")

	source, to := netip.MustParseAddr(near+"1"), netip.MustParseAddr(beyond+"1")
	words := make(chan mtuHint, 100)
	s, err := open(t.Context(), source, func(to netip.Addr, limit int) { words <- mtuHint{to, limit} })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read()
	}()
	defer func() {
		s.close()
		<-done
	}()
	measure := func(want int, wantKnown bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			mtu, known, err := search(1500, smallest(to), func(size int) (Answer, error) { return s.ask(t.Context(), to, size) })
			if err == nil && mtu == want && known == wantKnown {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d %t %v, want %d %t", mtu, known, err, want, wantKnown)
			}
		}
	}
	measure(1500, true)
	toBeyond := fmt.Sprintf("ip route replace %s dev far proto kernel%s", netip.MustParsePrefix(at(beyond, "1")).Masked(), metric)
	in(router, toBeyond+" mtu lock 1400")
	measure(1400, true)
	if w := <-words; w != (mtuHint{to, 1400}) {
		t.Errorf("the router said %+v", w)
	}
	// What the kernel remembers now is not what is measured.
	in(router, toBeyond)
	measure(1500, true)
	if to.Is4() {
		for _, want := range []struct{ passes, mtu int }{{1400, 1400}, {1500, 1500}} {
			if err := Forget(to, want.passes); err != nil {
				t.Error(err)
			}
			if mtu, err := remembered(to); mtu != want.mtu || err != nil {
				t.Errorf("where %d bytes pass the kernel remembers %d, %v", want.passes, mtu, err)
			}
		}
	}
	// A hole: no word of a router.
	in(router, `nft "add table inet t; add chain inet t f { type filter hook forward priority 0; }; add rule inet t f `+hole+` drop"`)
	measure(1321, true)
	in(router, `nft "add rule inet t f `+icmp+` drop"`)
	measure(1500, false)

	if _, err := s.ask(t.Context(), to, 1501); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("more than the device takes: %v", err)
	}
}

// FuzzParse takes whatever comes by the socket.
func FuzzParse(f *testing.F) {
	f.Add(familyOf(netip.IPv4Unspecified()).echo(1, 2, 100))
	f.Add(append([]byte{typeTooBig, 0, 0, 0, 0, 0, 5, 0}, make([]byte, 48)...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parse4(b)
		_, _ = parse6(b)
	})
}
