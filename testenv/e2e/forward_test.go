package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// forwardDropsWithNFTables is about iptables beside Docker's nftables backend:
// Docker has no chain there that an accept of ours could be in. What is advised
// helps.
func forwardDropsWithNFTables(t *testing.T, l *testenv.Lab) {
	ctx, h := t.Context(), l.Host(2)
	run(t, h, "iptables", "-P", "FORWARD", "DROP")
	var fix string
	testenv.Eventually(t, soon, func() error {
		s, err := h.Status(ctx)
		for _, p := range s.Problems {
			if containsAll(p.What, "chain FORWARD drops mesh traffic", "policy DROP") {
				_, fix, _ = strings.Cut(p.Do, ": ")
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("nothing is said of the policy: %+v", s.Problems))
	})
	if fetch(ctx, container(t, h, "c1"), container(t, l.Host(1), "c1"), 2*time.Second) == nil {
		t.Error("TCP passes the policy")
	}
	run(t, h, "sh", "-c", fix)
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(ctx, from, to, soon)) })
	run(t, h, "iptables", "-P", "FORWARD", "ACCEPT")
	run(t, h, "iptables", "-F", "FORWARD")
}

// forwardDrops leaves mesh traffic no accept but ours.
func forwardDrops(t *testing.T, l *testenv.Lab) {
	if nftablesBackend() {
		forwardDropsWithNFTables(t, l)
		return
	}
	icc := []string{"FORWARD", "-i", "docker0", "-o", "docker0", "-j", "ACCEPT"}
	if strings.Contains(run(t, l.Host(1), "iptables", "-S", "FORWARD"), "-j DOCKER-FORWARD") { // since Docker 28
		icc = []string{"DOCKER-FORWARD", "-i", "docker0", "-j", "ACCEPT"}
	}
	for _, h := range l.Hosts() {
		run(t, h, "iptables", "-P", "FORWARD", "DROP")
		run(t, h, append([]string{"iptables", "-D"}, icc...)...)
	}
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
	for _, h := range l.Hosts() {
		noProblems(t, h)
		run(t, h, append([]string{"iptables", "-A"}, icc...)...)
	}
}

// othersDrop is where no accept of ours can help: what drops is named.
func othersDrop(t *testing.T, l *testenv.Lab) {
	h := l.Host(2)
	run(t, h, "nft", "add table inet theirs; add chain inet theirs guard { type filter hook forward priority 10; policy drop; }")
	named := func() error {
		return problem(t.Context(), h, "nftables table inet theirs chain guard drops mesh traffic", "policy DROP", "nft insert rule inet theirs guard")
	}
	testenv.Eventually(t, soon, named)
	run(t, h, "nft", "delete table inet theirs")
	testenv.Eventually(t, soon, func() error {
		if named() == nil {
			return errors.New("the problem is still there")
		}
		return nil
	})
}

// distributionRejects is as on RHEL, where FORWARD ends with a REJECT; and as on
// a host whose firewall has put it before Docker's jump to DOCKER-USER.
func distributionRejects(t *testing.T, l *testenv.Lab) {
	if nftablesBackend() {
		return // without that jump it is as the policy
	}
	ctx, h := t.Context(), l.Host(2)
	all := func() { eachPair(t, l, func(from, to testenv.End) { must(t, fetch(ctx, from, to, soon)) }) }
	reject := []string{"-j", "REJECT", "--reject-with", "icmp-host-prohibited"}
	run(t, h, append([]string{"iptables", "-A", "FORWARD"}, reject...)...)
	all()
	run(t, h, append([]string{"iptables", "-I", "FORWARD", "1"}, reject...)...)
	var fix string
	testenv.Eventually(t, soon, func() error {
		s, err := h.Status(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Problems {
			if containsAll(p.What, "chain FORWARD drops mesh traffic", "-j REJECT --reject-with icmp-host-prohibited") {
				_, fix, _ = strings.Cut(p.Do, ": ")
				return nil
			}
		}
		return fmt.Errorf("nothing is said of the REJECT: %+v", s.Problems)
	})
	if fetch(ctx, container(t, h, "c1"), container(t, l.Host(1), "c1"), 2*time.Second) == nil {
		t.Error("TCP passes the REJECT")
	}
	run(t, h, "sh", "-c", fix)
	all()
	run(t, h, append(strings.Fields(fix)[:1], strings.Fields(strings.Replace(fix, " -I ", " -D ", 1))[1:]...)...)
	for range 2 {
		run(t, h, append([]string{"iptables", "-D", "FORWARD"}, reject...)...)
	}
	testenv.Eventually(t, soon, func() error {
		if found := problems(t, h); len(found) > 0 {
			return fmt.Errorf("problems remain: %+v", found)
		}
		return nil
	})
}

// strictReversePath is RHEL's default, on the host that is asked at its underlay
// address. It says so, and what it advises helps.
func strictReversePath(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	c1 := container(t, h1, "c1")
	set := func(value string) {
		for _, dev := range []string{"all", underlayDevice()} {
			run(t, h2, "sysctl", "-qw", "net.ipv4.conf."+dev+".rp_filter="+value)
		}
	}
	before := run(t, h2, "sysctl", "-n", "net.ipv4.conf."+underlayDevice()+".rp_filter")
	set("1")
	defer set(strings.TrimSpace(before))
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience(2*time.Second))
	defer cancel()
	if got, err := testenv.Source(ctx, c1, h2.End()); err == nil {
		t.Errorf("%s sees %s as %s", h2.Name, c1.Addr, got)
	}
	seenAs(t, c1, container(t, h2, "c1"), c1.Addr)
	restartAgents(t, l, h2) // which looks at once
	advice := fmt.Sprintf("net.ipv4.conf.%s.rp_filter=2", underlayDevice())
	testenv.Eventually(t, soon, func() error {
		return problem(t.Context(), h2, "rp_filter of "+underlayDevice()+" is 1", "sysctl -w "+advice)
	})
	run(t, h2, "sysctl", "-qw", advice)
	seenAs(t, c1, h2.End(), c1.Addr)
}

// flushed is done by hand, on all hosts; what is Docker's comes back with its
// next start.
func flushed(t *testing.T, l *testenv.Lab) {
	ways := []string{"iptables -P FORWARD ACCEPT && iptables -F", "nft flush ruleset"}
	if nftablesBackend() {
		ways = ways[1:] // there is nothing of ours in iptables
	}
	for _, by := range ways {
		began := time.Now()
		for _, h := range l.Hosts() {
			run(t, h, "sh", "-c", by)
		}
		for _, h := range l.Hosts() {
			testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
			must(t, keepsSources(t.Context(), h, h.Addr.String()))
			for _, change := range recent(t, h, began) {
				if took := change.Time.Sub(began); took > testenv.Patience(healedWithin) {
					t.Errorf("%s: %s was put right %s after %s", h.Name, change.Object, took, by)
				}
			}
			if len(recent(t, h, began)) == 0 {
				t.Errorf("%s: %s has changed nothing", h.Name, by)
			}
		}
		eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
	}
}
