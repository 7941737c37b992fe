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
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
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
	sh(t, fmt.Sprintf(`ip link set lo up
		ip link add near type veth peer name near netns %d; ip addr add 10.7.1.1/24 dev near; ip link set near up`, router))
	in(router, fmt.Sprintf(`ip link add far type veth peer name far netns %d
		ip addr add 10.7.1.254/24 dev near; ip addr add 10.7.2.254/24 dev far; ip link set near up; ip link set far up
		sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0`, far))
	in(far, "ip addr add 10.7.2.1/24 dev far; ip link set far up; ip route add default via 10.7.2.254")
	sh(t, "ip route add default via 10.7.1.254")

	source, to := netip.MustParseAddr("10.7.1.1"), netip.MustParseAddr("10.7.2.1")
	words := make(chan word, 100)
	s, err := open(t.Context(), source, func(to netip.Addr, limit int) { words <- word{to, limit} })
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
			mtu, known, err := search(1500, func(size int) (Answer, error) { return s.ask(t.Context(), to, size) })
			if err == nil && mtu == want && known == wantKnown {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d %t %v, want %d %t", mtu, known, err, want, wantKnown)
			}
		}
	}
	measure(1500, true)
	in(router, "ip route replace 10.7.2.0/24 dev far proto kernel scope link src 10.7.2.254 mtu lock 1400")
	measure(1400, true)
	if w := <-words; w != (word{to, 1400}) {
		t.Errorf("the router said %+v", w)
	}
	// What the kernel remembers now is not what is measured.
	in(router, "ip route replace 10.7.2.0/24 dev far proto kernel scope link src 10.7.2.254")
	measure(1500, true)
	// A hole: no word of a router.
	in(router, `nft "add table ip t; add chain ip t f { type filter hook forward priority 0; }; add rule ip t f ip length > 1321 drop"`)
	measure(1321, true)
	in(router, `nft "add rule ip t f ip protocol icmp drop"`)
	measure(1500, false)

	if _, err := s.ask(t.Context(), to, 1501); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("more than the device takes: %v", err)
	}
}

// FuzzParse takes whatever comes by the socket.
func FuzzParse(f *testing.F) {
	f.Add(echo(1, 2, 100))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parse(b) })
}
