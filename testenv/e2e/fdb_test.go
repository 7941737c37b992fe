package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/testenv"
)

// TestSwitchesKnowWhereHostsAre is about the static entries of br0's forwarding
// table: what is for one host goes by one tunnel.
func TestSwitchesKnowWhereHostsAre(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3}, nil)
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return knowsItsPeers(t, l, h) })
	}
	inTurn(t, l,
		behaviour{"what has been silent is not flooded", silentIsNotFlooded},
		behaviour{"an entry that is lost is drift, and mended", lostEntryIsMended},
		behaviour{"ovs-vswitchd restarts", entriesOutliveVswitchd},
		behaviour{"no way by a third host is learned", noDetourIsLearned},
		behaviour{"a host that leaves takes its entries along", leaverTakesEntries},
	)
}

// knowsItsPeers tells whether a host's br0 has each of the others' docker0s
// behind the tunnel that leads there, and no more.
func knowsItsPeers(t *testing.T, l *testenv.Lab, h *testenv.Host, without ...*testenv.Host) error {
	t.Helper()
	table, err := h.Exec(t.Context(), "ovs-appctl", "fdb/show", "br0")
	if err != nil {
		return err
	}
	wanted := 0
	for _, peer := range l.Hosts() {
		if peer == h || len(without) > 0 && peer == without[0] {
			continue
		}
		wanted++
		subnet := status(t, peer).Host.Subnet
		port := run(t, h, "ovs-vsctl", "--bare", "--columns=name", "find", "port", `external_ids:gremesh-subnet="`+subnet.String()+`"`)
		number := run(t, h, "ovs-vsctl", "get", "interface", port, "ofport")
		line := []string{number, "0", bridge.MAC(status(t, peer).Host.Bip.Addr()).String(), "static"}
		if !strings.Contains(strings.Join(strings.Fields(table), " ")+" ", " "+strings.Join(line, " ")+" ") {
			err = errors.Join(err, fmt.Errorf("%s: no entry %q", h.Name, line))
		}
	}
	if n := strings.Count(table, "static"); n != wanted {
		err = errors.Join(err, fmt.Errorf("%s: %d static entries, want %d", h.Name, n, wanted))
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, table)
	}
	return nil
}

// silentIsNotFlooded has all that was learned forgotten, as after 300 s of
// silence.
func silentIsNotFlooded(t *testing.T, l *testenv.Lab) {
	const pings = 3
	w := watchTunnels(t, l)
	for _, h := range l.Hosts() {
		run(t, h, "ovs-appctl", "fdb/flush", "br0")
	}
	for i, h := range l.Hosts() {
		for j, bip := range w.bips {
			if j != i {
				run(t, h, "ping", "-n", "-i0.2", "-W10", fmt.Sprintf("-c%d", pings), bip.String())
			}
		}
	}
	for i, h := range l.Hosts() {
		for j, bip := range w.bips {
			words := fmt.Sprintf("> %s: ICMP echo request", bip)
			if j == i {
				continue
			}
			testenv.Eventually(t, soon, func() error {
				if n := w.sent[i].says(t, words); n < pings {
					return fmt.Errorf("%d of %s's pings are captured", n, h.Name)
				}
				return nil
			})
			if n := w.sent[i].says(t, words); n != pings {
				t.Errorf("%d pings of %s to one host make %d frames in the tunnels", pings, h.Name, n)
			}
		}
	}
}

// lostEntryIsMended takes an entry away, of which nobody is told.
func lostEntryIsMended(t *testing.T, l *testenv.Lab) {
	h := l.Host(1)
	mac := bridge.MAC(status(t, l.Host(2)).Host.Bip.Addr()).String()
	testenv.Eventually(t, soon, func() error { // again, should a pass come between
		_, _ = h.Exec(t.Context(), "ovs-appctl", "fdb/del", "br0", "0", mac) // that it is gone already is no matter
		out, err := h.Gremesh(t.Context(), "plan")
		if err == nil && !containsAll(out, "ovs-appctl fdb/add br0 gre", mac) {
			err = errors.New("the entry is not in the plan: " + out)
		}
		return errors.Join(err, auditExit(t, h, 1, "fdb gre", mac, "is missing, should be behind gre"))
	})
	run(t, h, "ovs-vsctl", "remove", "port", tunnelTo(t, h, l.Host(2)), "external_ids", "gremesh-name") // that is noticed
	testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	must(t, knowsItsPeers(t, l, h))
}

func entriesOutliveVswitchd(t *testing.T, l *testenv.Lab) {
	h := l.Host(2)
	must(t, h.KillVswitchd(t.Context()))
	must(t, h.StartVswitchd(t.Context()))
	testenv.Eventually(t, soon, func() error { return knowsItsPeers(t, l, h) })
	testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
}

// tunnelTo is the name of a host's port to a peer.
func tunnelTo(t *testing.T, h, peer *testenv.Host) string {
	t.Helper()
	return run(t, h, "ovs-vsctl", "--bare", "--columns=name", "find", "interface", `options:remote_ip="`+peer.Addr.String()+`"`)
}

// noDetourIsLearned has the ports of h1 not protected, so that h1 hands on what
// h2 broadcasts, and h3 hears it from there last. That h2 broadcasts at all is
// made so by hand, too.
func noDetourIsLearned(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	bip := func(h *testenv.Host) string { return status(t, h).Host.Bip.Addr().String() }
	bip2, to2, to3 := bip(h2), status(t, h2).Host.Bip.Addr(), status(t, h3).Host.Bip.Addr()
	pings := []*pinger{keepPingingFast(t, h2, to3), keepPingingFast(t, h3, to2)}
	for _, h := range []*testenv.Host{h1, h2} {
		must(t, h.StopAgent(ctx, syscall.SIGTERM))
	}
	protect := func(is string) {
		run(t, h1, "ovs-vsctl", "set", "port", tunnelTo(t, h1, h2), "protected="+is, "--", "set", "port", tunnelTo(t, h1, h3), "protected="+is)
	}
	protect("false")
	run(t, h2, "nft", "flush", "chain", "bridge", "gremesh", "output")
	from1 := tcpdump(t, h1, "-Q", "out", "-i", "eth0", "ip proto 47 and ip[40:2] = 0x0806")
	run(t, h2, "sh", "-c", "busybox arping -U -c 5 -I docker0 "+bip2+" || true") // nobody answers
	testenv.Eventually(t, soon, func() error {
		if n := from1.lines(t); n < 3 {
			return fmt.Errorf("%s has handed on %d broadcasts", h1.Name, n)
		}
		return nil
	})
	for _, p := range pings {
		p.more(t)
	}
	protect("true")
	for _, p := range pings {
		p.uninterrupted(t)
	}
	for _, h := range []*testenv.Host{h1, h2} {
		must(t, h.StartAgent(ctx))
	}
	whole(t, l)
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
}

func leaverTakesEntries(t *testing.T, l *testenv.Lab) {
	h3 := l.Host(3)
	_, err := h3.Gremesh(t.Context(), "leave")
	must(t, err)
	for _, h := range l.Hosts()[:2] {
		testenv.Eventually(t, soon, func() error { return knowsItsPeers(t, l, h, h3) })
	}
	if out, err := h3.Exec(t.Context(), "ovs-appctl", "fdb/show", "br0"); err == nil && strings.Contains(out, "static") {
		t.Errorf("entries of a host that has left:\n%s", out)
	}
}
