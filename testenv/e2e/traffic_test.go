package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// fullSizePacketsPass knows what GRE leaves of an underlay of 1500 bytes.
func fullSizePacketsPass(t *testing.T, l *testenv.Lab) {
	const mtu = 1458
	from, to := l.Host(1), l.Host(2)
	for _, h := range l.Hosts() {
		for _, dev := range []string{"docker0", "br0"} {
			if link := run(t, h, "ip", "-o", "link", "show", dev); !strings.Contains(link, fmt.Sprintf(" mtu %d ", mtu)) {
				t.Errorf("%s: want MTU %d: %s", h.Name, mtu, link)
			}
		}
	}
	link := run(t, from, append(inContainer(t, from, "c1"), "ip", "-o", "link", "show", "eth0")...)
	if !strings.Contains(link, fmt.Sprintf(" mtu %d ", mtu)) {
		t.Errorf("the container: want MTU %d: %s", mtu, link)
	}
	addr, err := to.ContainerAddr(t.Context(), "c1")
	must(t, err)
	must(t, from.Ping(t.Context(), "c1", addr, mtu))
	const headers = 28 // IPv4 and ICMP
	ping := []string{"sh", "-c", fmt.Sprintf("ping -n -c1 -W1 -Mdo -s%d %s 2>&1", mtu+1-headers, addr)}
	out, err := from.Exec(t.Context(), append(inContainer(t, from, "c1"), ping...)...)
	// Since 2024 iputils does not print the MTU.
	refused := strings.Contains(out, fmt.Sprintf("mtu=%d", mtu)) || strings.Contains(out, "sendmsg: Message too long")
	if err == nil || !refused {
		t.Errorf("a packet of %d bytes is not refused by the container's own kernel: %v\n%s", mtu+1, err, out)
	}
}

// inContainer begins a command that sees a container's network.
func inContainer(t *testing.T, h *testenv.Host, container string) []string {
	t.Helper()
	c, err := h.Container(t.Context(), container)
	must(t, err)
	return c.Command(t.Context()).Args
}

// broadcast asks for an address that no one has, from a container of the first
// host or from its docker0, and counts the copies that all hosts send by tunnel.
func broadcast(t *testing.T, l *testenv.Lab, container string) {
	const asked = 3
	// The target address (RFC 826) of the ARP packet within GRE (20 bytes of
	// outer IP, 8 of GRE with a key, 14 of inner Ethernet).
	target := vacant(t, l)
	filter := fmt.Sprintf("ip proto 47 and ip[40:2] = 0x0806 and ip[66:4] = 0x%x", target.AsSlice())
	copies := make([]*capture, 0, len(l.Hosts()))
	for _, h := range l.Hosts() {
		copies = append(copies, tcpdump(t, h, "-Q", "out", "-i", "eth0", filter))
	}
	h := l.Host(1)
	arping := []string{"busybox", "arping", "-c", fmt.Sprint(asked), "-I", "docker0", target.String()}
	if container != "" {
		arping[5] = "eth0"
		arping = append(inContainer(t, h, container), arping...)
	}
	if out, err := h.Exec(t.Context(), arping...); err == nil {
		t.Fatalf("someone answered: %s", out)
	}
	count := func() error {
		sent := 0
		for _, c := range copies {
			sent += c.lines(t)
		}
		if want := asked * (len(l.Hosts()) - 1); sent != want {
			return fmt.Errorf("%d broadcasts made %d copies, want %d", asked, sent, want)
		}
		return nil
	}
	testenv.Eventually(t, soon, count)
	// What a copy would have set off has happened when pings have gone both ways.
	for _, to := range l.Hosts()[1:] {
		must(t, h.Ping(t.Context(), "", status(t, to).Host.Bip.Addr(), 0))
	}
	must(t, count())
}

// capture is a tcpdump that runs until the end of its test.
type capture struct{ file string }

// tcpdump starts to capture on a host, and returns when it does. It takes the
// headers only: its buffer has room for few packets of unknown length, and
// loses what comes while the machine is busy.
func tcpdump(t *testing.T, h *testenv.Host, argv ...string) *capture {
	t.Helper()
	dir := t.TempDir()
	c := &capture{filepath.Join(dir, "out")}
	ready := filepath.Join(dir, "err")
	background(t, h, c.file, ready, append([]string{"tcpdump", "-n", "-l", "--immediate-mode", "-s", "256"}, argv...)...)
	testenv.Eventually(t, soon, func() error {
		said, err := os.ReadFile(ready)
		if err == nil && !bytes.Contains(said, []byte("listening on")) {
			err = fmt.Errorf("tcpdump on %s: %s", h.Name, said)
		}
		return err
	})
	return c
}

func (c *capture) lines(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(c.file)
	must(t, err)
	return bytes.Count(text, []byte("\n"))
}

// background starts a command on a host that runs until the end of the test,
// or until the returned function has been called.
func background(t *testing.T, h *testenv.Host, stdout, stderr string, argv ...string) (stop func()) {
	t.Helper()
	out, err := os.Create(stdout)
	must(t, err)
	errs, err := os.Create(stderr)
	must(t, err)
	cmd := h.Command(context.WithoutCancel(t.Context()), argv...)
	cmd.Stdout, cmd.Stderr = out, errs
	must(t, cmd.Start())
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // it is ended by the signal
		must(t, errors.Join(out.Close(), errs.Close()))
	}
	t.Cleanup(stop)
	return stop
}

// pinger pings from a container ten times a second.
type pinger struct {
	replies string // its output
	stop    func()
}

func keepPinging(t *testing.T, from *testenv.Host, container string, to netip.Addr) *pinger {
	t.Helper()
	dir := t.TempDir()
	p := &pinger{replies: filepath.Join(dir, "out")}
	ping := append(inContainer(t, from, container), "ping", "-n", "-i", "0.1", to.String())
	p.stop = background(t, from, p.replies, filepath.Join(dir, "err"), ping...)
	p.more(t)
	return p
}

var reply = regexp.MustCompile(`icmp_seq=(\d+) ttl=`)

// seen returns how many replies came, and the number of the last.
func (p *pinger) seen(t *testing.T) (replies, last int) {
	t.Helper()
	text, err := os.ReadFile(p.replies)
	must(t, err)
	all := reply.FindAllSubmatch(text, -1)
	if len(all) > 0 {
		_, err = fmt.Sscan(string(all[len(all)-1][1]), &last)
		must(t, err)
	}
	return len(all), last
}

// more waits for a reply to a ping that is still to be sent.
func (p *pinger) more(t *testing.T) {
	t.Helper()
	_, before := p.seen(t)
	testenv.Eventually(t, soon, func() error {
		if _, now := p.seen(t); now < before+2 {
			return fmt.Errorf("no reply after number %d", before)
		}
		return nil
	})
}

// noneLost ends the pings, after a further reply, and fails the test if one of
// them had none.
func (p *pinger) noneLost(t *testing.T) {
	t.Helper()
	p.more(t)
	p.stop()
	if replies, last := p.seen(t); replies != last {
		t.Errorf("%d of %d pings were lost", last-replies, last)
	}
}
