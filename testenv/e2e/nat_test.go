package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

// healedWithin is for what is undone by hand, on a busy machine.
const healedWithin = 2 * time.Second

// masqFile is the masquerade.config_file of all hosts of a lab.
type masqFile struct{ path string }

// TestMasquerading has hosts beside an outside, whose operator writes another
// masquerade file in each step, or is at odds with the packet filter.
func TestMasquerading(t *testing.T) {
	needs(t, kernel.NFTablesIP)
	f := masqFile{filepath.Join(t.TempDir(), "masquerade.yaml")}
	l := startMesh(t, testenv.Config{Hosts: 3, Docker: true, Outside: true}, map[string]any{"masquerade.config_file": f.path})
	must(t, l.Each(func(h *testenv.Host) error { return serve(t.Context(), h) }))
	inTurn(t, l,
		behaviour{"without a file", sources},
		behaviour{"a published port of another network", publishedByAnotherNetwork},
		behaviour{"link-local", f.linkLocal},
		behaviour{"a file that is written", f.isWritten},
		behaviour{"a file that changes under load", f.changes},
		behaviour{"a bad file", f.isBad},
		behaviour{"everything keeps its source", f.everything},
		behaviour{"FORWARD drops", forwardDrops},
		behaviour{"a firewall of others drops", othersDrop},
		behaviour{"a distribution rejects", distributionRejects},
		behaviour{"strict rp_filter", strictReversePath},
		behaviour{"iptables-legacy", f.legacy},
		behaviour{"flushed by hand", flushed},
		behaviour{"icc: false", withoutICC},
	)
}

// write puts another file in place, and waits for the hosts to have these
// networks in their tables.
func (f masqFile) write(t *testing.T, l *testenv.Lab, text string, networks ...string) {
	t.Helper()
	must(t, os.WriteFile(f.path+"~", []byte(text), 0o644))
	must(t, os.Rename(f.path+"~", f.path))
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return keepsSources(t.Context(), h, networks...) })
	}
}

// keepsSources tells that a host has these networks and addresses, and the
// pool, in its table.
func keepsSources(ctx context.Context, h *testenv.Host, networks ...string) error {
	out, err := h.Exec(ctx, "nft", "list", "table", "ip", "gremesh")
	if err != nil {
		return err
	}
	_, set, _ := strings.Cut(out, "elements = {")
	set, _, _ = strings.Cut(set, "}")
	hosts := strings.FieldsFunc(set, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	for _, n := range append(networks, "172.17.0.0/16") {
		if !strings.Contains(out, " ip daddr "+n+" snat to ip saddr") && !slices.Contains(hosts, n) {
			return fmt.Errorf("%s does not keep sources on the way to %s: %s", h.Name, n, out)
		}
	}
	return nil
}

// seenAs fails the test unless from has that address when it reaches to.
func seenAs(t *testing.T, from, to testenv.End, want netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience(soon))
	defer cancel()
	got, err := testenv.Source(ctx, from, to)
	if err != nil || got != want {
		t.Fatalf("%s at %s sees %s (%s) as %s, want %s: %v", to.Name, to.Addr, from.Name, from.Addr, got, want, err)
	}
}

// isWritten has a list take the underlays' place.
func (f masqFile) isWritten(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	c1, outside := container(t, h1, "c1"), l.Outside()
	f.write(t, l, fmt.Sprintf(`{"nonMasqueradeCIDRs": ["%s/32"]}`, outside.Addr), outside.Addr.String())
	seenAs(t, c1, outside, c1.Addr)
	seenAs(t, c1, h2.End(), h1.Addr)
	seenAs(t, c1, container(t, h2, "c1"), c1.Addr)
	f.write(t, l, "nonMasqueradeCIDRs: []\n")
	testenv.Eventually(t, soon, func() error {
		if keepsSources(t.Context(), h1, outside.Addr.String()) == nil {
			return errors.New("the outside is still there")
		}
		return nil
	})
	seenAs(t, c1, outside, h1.Addr)
	seenAs(t, c1, h2.End(), h1.Addr)
	audited(t, h1, 0)
}

// changes has two lists take each other's place while connections are made that
// either says something of.
func (f masqFile) changes(t *testing.T, l *testenv.Lab) {
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	c1 := container(t, h1, "c1")
	lists := []string{"192.0.2.0/24", "203.0.113.0/24"}
	said := func(i int) (string, string) {
		return fmt.Sprintf("nonMasqueradeCIDRs:\n- %s/32\n- %s\n", h2.Addr, lists[i%2]), lists[i%2]
	}
	text, other := said(0)
	f.write(t, l, text, h2.Addr.String(), other)

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, to := range []struct {
		testenv.End
		want netip.Addr
	}{{h2.End(), c1.Addr}, {container(t, h3, "c1"), c1.Addr}, {l.Outside(), h1.Addr}} {
		listener, err := to.Listen(t.Context())
		must(t, err)
		load.Go(func() {
			connections, packets := 0, 0
			for ; ctx.Err() == nil; connections++ {
				echoes, err := c1.Send(t.Context(), listener.Addr, 20, time.Millisecond)
				// Answers from outside come with checksums that conntrack does not
				// take: a veth leaves them to a NIC, and OVS's userspace datapath
				// to nobody.
				if packets += echoes.Sent; err != nil || to.want == c1.Addr && echoes.Lost() != 0 {
					t.Errorf("connection %d to %s: %+v, %v", connections, to.Name, echoes, err)
				}
			}
			t.Logf("to %s: %d connections, %d packets", to.Name, connections, packets)
			if err := listener.Close(); err != nil { // after which Seen is complete
				t.Error(err)
			}
			if seen := listener.Seen(); len(seen) != 1 || seen[to.want] != packets {
				t.Errorf("%s sees %v, want %d as %s", to.Name, seen, packets, to.want)
			}
		})
	}
	for i := range 20 {
		text, other := said(i + 1)
		f.write(t, l, text, h2.Addr.String(), other)
	}
	stop()
	load.Wait()
}

// isBad has a file that can't be used, also for an agent that knows no other.
func (f masqFile) isBad(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	f.write(t, l, "nonMasqueradeCIDRs: [192.0.2.0/24]\n", "192.0.2.0/24")
	f.write(t, l, "nonMasqueradeCIDR: [203.0.113.0/24]\n")
	reported := func() error { return problem(ctx, h1, f.path, `unknown key "nonMasqueradeCIDR"`, "correct it") }
	testenv.Eventually(t, soon, reported)
	testenv.Eventually(t, soon, func() error { return logs(h1, f.path, "unknown key") })
	must(t, keepsSources(ctx, h1, "192.0.2.0/24"))

	changed := changes(t, h1)
	must(t, h1.StopAgent(ctx, syscall.SIGTERM))
	must(t, h1.StartAgent(ctx))
	whole(t, l)
	testenv.Eventually(t, soon, reported)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	must(t, keepsSources(ctx, h1, "192.0.2.0/24"))
	if n := changes(t, h1) - changed; n != 0 {
		t.Errorf("the restarted agent changed %d things:\n%s", n, agentLog(t, h1))
	}

	f.write(t, l, "nonMasqueradeCIDRs: [203.0.113.0/24]\n", "203.0.113.0/24")
	testenv.Eventually(t, soon, func() error {
		if reported() == nil {
			return errors.New("the problem is still there")
		}
		return nil
	})
}

// everything is allowed, and warned of. Without a file all is as it was.
func (f masqFile) everything(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	c1 := container(t, h1, "c1")
	must(t, os.WriteFile(f.path, []byte("nonMasqueradeCIDRs: [0.0.0.0/0]\n"), 0o644))
	testenv.Eventually(t, soon, func() error { return problem(t.Context(), h1, "0.0.0.0/0", "containers reach nothing") })
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	seenAs(t, c1, l.Outside(), c1.Addr)
	must(t, os.Remove(f.path))
	for i, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return keepsSources(t.Context(), h, l.Hosts()[(i+1)%3].Addr.String()) })
	}
	sources(t, l)
}

// legacy has a Docker of the other iptables beside: our accept is put into that
// DOCKER-USER, too. That iptables gives no notice, and so the file wakes the
// agent.
func (f masqFile) legacy(t *testing.T, l *testenv.Lab) {
	ctx, h := t.Context(), l.Host(3)
	run(t, h, "iptables-legacy", "-P", "FORWARD", "DROP")
	f.write(t, l, "nonMasqueradeCIDRs: [203.0.113.0/24]\n", "203.0.113.0/24")
	testenv.Eventually(t, soon, func() error { return problem(ctx, h, "iptables-legacy chain FORWARD", "policy DROP") })
	run(t, h, "iptables-legacy", "-N", "DOCKER-USER")
	run(t, h, "iptables-legacy", "-I", "FORWARD", "-j", "DOCKER-USER")
	f.write(t, l, "nonMasqueradeCIDRs: [192.0.2.0/24]\n", "192.0.2.0/24")
	testenv.Eventually(t, soon, func() error {
		out, err := h.Exec(ctx, "iptables-legacy", "-S", "DOCKER-USER")
		if err == nil && !containsAll(out, "-i docker0 -o docker0", "--comment gremesh -j ACCEPT") {
			err = fmt.Errorf("%s has no accept: %s", h.Name, out)
		}
		return err
	})
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(ctx, from, to, soon)) })
	for _, undo := range []string{"-P FORWARD ACCEPT", "-F", "-X DOCKER-USER"} {
		run(t, h, append([]string{"iptables-legacy"}, strings.Fields(undo)...)...)
	}
	must(t, os.Remove(f.path))
}
