package gossip

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestAQuestionReachesTheLink(t *testing.T) {
	reachesTheLink(t, netip.MustParseAddrPort("127.0.77.9:7946"))
}

// Loopback has no multicast of IPv6.
func TestAQuestionReachesTheLinkOverIPv6(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("needs root for a network namespace")
	}
	runtime.LockOSThread() // and never unlocks: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"link", "add", "under", "type", "veth", "peer", "name", "other"},
		{"address", "add", "fd00::1/64", "dev", "under", "nodad"},
		{"link", "set", "under", "up"},
		{"link", "set", "other", "up"},
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %q: %v: %s", args, err, out)
		}
	}
	reachesTheLink(t, netip.MustParseAddrPort("[fd00::1]:7946"))
}

func reachesTheLink(t *testing.T, at netip.AddrPort) {
	got := make(chan string, 100)
	n, err := listen(networkConfig{at: at, beacon: func(b []byte, from netip.AddrPort, _ *net.UDPConn) {
		got <- string(b[1:]) + " of " + netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()).String()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	var failed error
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // a new device has no route at first
		if failed = n.ask([]byte{beaconMark, 'h', 'i'}); failed == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(failed)
		}
	}
	select {
	case text := <-got:
		if text != "hi of "+at.String() {
			t.Errorf("%q arrives", text)
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not arrive")
	}
}
