package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/testenv"
)

const metricsAt = "127.0.0.1:9747"

// TestPairsWithoutGRE has a mesh whose pairs may move to VXLAN.
func TestPairsWithoutGRE(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	late := l.Host(3).Dir + "/ovs/late.sock" // so that its agent can be made blind
	run(t, l.Host(3), "ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/add-remote", "punix:"+late)
	settings := map[string]any{"tunnel.fallback": []string{"vxlan"}, "metrics.listen": metricsAt}
	must(t, l.Form(settings))
	settings["ovs.db"], settings["mesh.join"] = "unix:"+late, []string{l.Host(1).Addr.String()}
	must(t, l.Host(3).WriteConfig(settings))
	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	noRaces(t, l)
	inTurn(t, l,
		behaviour{"there is room for either type", func(t *testing.T, l *testenv.Lab) { fullSize(t, l, 1450) }},
		behaviour{"GRE filtered one way", func(t *testing.T, l *testenv.Lab) { movesToVXLAN(t, l, l.Host(1), l.Host(2), false) }},
		behaviour{"it is said everywhere, and is no drift", fallbackIsSaid},
		behaviour{"agents restarted at both ends", fallbackOutlivesAgents},
		behaviour{"GRE is tried at once when an operator asks either end", backToGRE},
		behaviour{"GRE filtered both ways", func(t *testing.T, l *testenv.Lab) { movesToVXLAN(t, l, l.Host(2), l.Host(1), true) }},
		behaviour{"a port that is deleted is made anew with its type", deletedFallback},
		behaviour{"GRE is tried again, in vain", triedInVain},
		behaviour{"nothing passes: both are named", nothingPasses},
		behaviour{"GRE is tried again, and passes", func(t *testing.T, l *testenv.Lab) {
			testenv.Eventually(t, soon, func() error { return typesAre(t.Context(), l, "gre") })
		}},
		behaviour{"a blind peer is not filtered", blindPeerIsNotFiltered},
	)
}

// fullSize tells that docker0 has an MTU on all hosts, and that it passes.
func fullSize(t *testing.T, l *testenv.Lab, mtu int) {
	for _, h := range l.Hosts() {
		if link := run(t, h, "ip", "-o", "link", "show", "docker0"); !strings.Contains(link, fmt.Sprintf(" mtu %d ", mtu)) {
			t.Errorf("%s: want MTU %d: %s", h.Name, mtu, link)
		}
		for _, to := range l.Hosts() {
			if to != h {
				must(t, h.Ping(t.Context(), "", status(t, to).Host.Bip.Addr(), mtu))
			}
		}
	}
}

// hasType tells that a host's tunnel to another is of a type, and up.
func hasType(ctx context.Context, h, to *testenv.Host, kind string) error {
	s, err := h.Status(ctx)
	if err != nil {
		return err
	}
	tunnel := peer(s, to).Tunnel
	if tunnel.Type != kind || tunnel.BFD != "up" {
		return fmt.Errorf("%s: the tunnel to %s is %+v, want one of type %s", h.Name, to.Name, tunnel, kind)
	}
	all, err := ports(ctx, h)
	if err == nil && (len(all) != len(s.Peers) || !slices.Contains(all, tunnel.Port)) {
		err = fmt.Errorf("%s has the ports %s, want %s and as many as peers", h.Name, all, tunnel.Port)
	}
	return err
}

// typesAre tells that the pair of the first two hosts has tunnels of a type, and
// all others GRE.
func typesAre(ctx context.Context, l *testenv.Lab, kind string) error {
	var errs []error
	for _, h := range l.Hosts() {
		for _, to := range l.Hosts() {
			want := kind
			if h == l.Host(3) || to == l.Host(3) {
				want = "gre"
			}
			if h != to {
				errs = append(errs, hasType(ctx, h, to, want))
			}
		}
	}
	return errors.Join(errs...)
}

func movesToVXLAN(t *testing.T, l *testenv.Lab, from, to *testenv.Host, both bool) {
	ctx := t.Context()
	pings, others := pingBip(t, from, to), pingBip(t, from, l.Host(3))
	began := time.Now()
	must(t, l.Filter(ctx, from, to, "gre"))
	if both {
		must(t, l.Filter(ctx, to, from, "gre"))
	}
	testenv.Eventually(t, soon, func() error { return hasType(ctx, from, to, "vxlan") })
	took := time.Since(began)
	testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "vxlan") })
	t.Logf("by VXLAN after %s; outage of docker0 to docker0: %s", took.Round(10*time.Millisecond), pings.outage(t))
	if took > testenv.Patience(20*time.Second) {
		t.Errorf("that is too long")
	}
	others.noneLost(t)
	testenv.Eventually(t, soon, func() error {
		return errors.Join(auditExit(t, from, 0), auditExit(t, to, 0), auditExit(t, l.Host(3), 0))
	})
	out, err := from.Gremesh(ctx, "history", "-n", "0")
	if must(t, err); !strings.Contains(out, "IP protocol 47 is filtered between here and "+to.Name) {
		t.Errorf("the history does not say why:\n%s", out)
	}
}

func fallbackIsSaid(t *testing.T, l *testenv.Lab) {
	ctx := t.Context()
	for _, pair := range [][2]*testenv.Host{{l.Host(1), l.Host(2)}, {l.Host(2), l.Host(1)}} {
		h, to := pair[0], pair[1]
		words := []string{"IP protocol 47 (GRE) is filtered between here and " + to.Name, "this pair uses vxlan (UDP port 4789)"}
		testenv.Eventually(t, soon, func() error { return problem(ctx, h, append(words, "allow IP protocol 47")...) })
		audited(t, h, 0, words...)
		if got := peer(status(t, h), to).Tunnel.Filtered; !slices.Equal(got, []string{"gre"}) {
			t.Errorf("%s: filtered are %v", h.Name, got)
		}
		// The others report their tunnels a moment later.
		testenv.Eventually(t, soon, func() error {
			scraped, err := h.Exec(ctx, "busybox", "wget", "-q", "-O", "-", "http://"+metricsAt+"/metrics")
			for _, want := range []string{
				fmt.Sprintf(`gremesh_tunnel_filtered{peer=%q,type="gre",underlay="%s"} 1`, to.Name, to.Addr),
				fmt.Sprintf(`gremesh_tunnel_up{peer=%q,type="vxlan",underlay="%s"} 1`, to.Name, to.Addr),
				"gremesh_tunnels_up 6",
			} {
				if err == nil && !strings.Contains(scraped, want+"\n") {
					err = fmt.Errorf("%s: no %s in\n%s", h.Name, want, scraped)
				}
			}
			return err
		})
	}
	noProblems(t, l.Host(3))
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(3), 0, "6 of 6", "clean", "IP protocol 47 (GRE) is filtered between h1 and h2: this pair uses vxlan")
	})
}

// fallbackOutlivesAgents restarts each end, and then both.
func fallbackOutlivesAgents(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	pings := pingBip(t, h1, h2)
	changed := changes(t, h1) + changes(t, h2)
	for _, hosts := range [][]*testenv.Host{{h1}, {h2}, {h1, h2}} {
		restartAgents(t, l, hosts...)
		testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "vxlan") })
	}
	pings.noneLost(t)
	if n := changes(t, h1) + changes(t, h2) - changed; n != 0 {
		t.Errorf("the restarted agents changed %d things", n)
	}
}

// backToGRE is what an operator can do who does not want to wait an hour.
func backToGRE(t *testing.T, l *testenv.Lab) {
	ctx, pair := t.Context(), l.Hosts()[:2]
	retry := func(h, to *testenv.Host) (string, error) { return h.Gremesh(ctx, "retry", to.Name) }
	if out, err := retry(pair[0], pair[1]); err == nil || !strings.Contains(err.Error(), "gre does not get through") {
		t.Errorf("while it is filtered: %s, %v", out, err)
	}
	testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "vxlan") })
	must(t, l.Heal(ctx))
	for _, ask := range [][2]*testenv.Host{{pair[1], pair[0]}, {pair[0], pair[1]}} { // the second time it is used already
		out, err := retry(ask[0], ask[1])
		if must(t, err); !strings.Contains(out, "gre gets through") {
			t.Errorf("%s says: %s", ask[0].Name, out)
		}
	}
	testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "gre") })
	whole(t, l)
	for _, h := range pair {
		noProblems(t, h)
	}
}

func deletedFallback(t *testing.T, l *testenv.Lab) {
	ctx, pair := t.Context(), l.Hosts()[:2]
	for i, h := range pair {
		name := peer(status(t, h), pair[1-i]).Tunnel.Port
		run(t, h, "ovs-vsctl", "del-port", name)
		testenv.Eventually(t, soon, func() error { return hasPort(ctx, h, name, true) })
		testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "vxlan") })
	}
}

// triedInVain has the two agents try GRE every 10 s from here on.
func triedInVain(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	for _, h := range []*testenv.Host{h1, h2} {
		must(t, h.WriteConfig(map[string]any{
			"mesh.bootstrap": h == h1, "mesh.join": joins(h1, h), "metrics.listen": metricsAt,
			"tunnel.fallback": []string{"vxlan"}, "tunnel.retry": "10s",
		}))
	}
	began := time.Now()
	restartAgents(t, l, h1, h2)
	pings := pingBip(t, h1, h2)
	testenv.Eventually(t, soon, func() error { return hasType(ctx, h1, h2, "vxlan") })
	for _, h := range []*testenv.Host{h1, h2} {
		testenv.Eventually(t, soon, func() error {
			made := recent(t, h, began)
			if !slices.ContainsFunc(made, func(c journal.Change) bool { return strings.HasPrefix(c.Cause, "gre is tried again with ") }) {
				return fmt.Errorf("%s has not tried GRE again: %+v", h.Name, made)
			}
			return nil
		})
	}
	testenv.Eventually(t, soon, func() error { return typesAre(ctx, l, "vxlan") })
	outage := pings.outage(t)
	t.Logf("outage of docker0 to docker0 by a trial in vain: %s", outage)
	if outage > testenv.Patience(6*time.Second) {
		t.Error("that is too long")
	}
}

// joins are the seeds of a host where the first one has founded the mesh.
func joins(first, h *testenv.Host) []string {
	if h == first {
		return nil
	}
	return []string{first.Addr.String()}
}

func nothingPasses(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	must(t, l.Filter(ctx, h1, h2, "vxlan"))
	for _, pair := range [][2]*testenv.Host{{h1, h2}, {h2, h1}} {
		testenv.Eventually(t, 2*soon, func() error {
			return problem(ctx, pair[0], "no GRE and no VXLAN", pair[1].Addr.String(), "allow IP protocol 47 (GRE) or UDP port 4789 (VXLAN)")
		})
	}
	for _, h := range []*testenv.Host{h1, h2} {
		testenv.Eventually(t, soon, func() error { return hasSameType(ctx, h1, h2) })
		audited(t, h, 0)
	}
	must(t, l.Heal(ctx))
	testenv.Eventually(t, soon, func() error {
		return errors.Join(meshed(ctx, l.Hosts()...), hasSameType(ctx, h1, h2))
	})
}

func hasSameType(ctx context.Context, a, b *testenv.Host) error {
	here, err := a.Status(ctx)
	there, errThere := b.Status(ctx)
	if one, other := peer(here, b).Tunnel.Type, peer(there, a).Tunnel.Type; one != other {
		err = fmt.Errorf("%s has %s, %s has %s", a.Name, one, b.Name, other)
	}
	return errors.Join(err, errThere)
}

// blindPeerIsNotFiltered has the third host's agent lose its Open vSwitch, and
// then a port there: no firewall is to blame for that.
func blindPeerIsNotFiltered(t *testing.T, l *testenv.Lab) {
	ctx, h2, h3 := t.Context(), l.Host(2), l.Host(3)
	late := h3.Dir + "/ovs/late.sock"
	name := peer(status(t, h3), h2).Tunnel.Port
	run(t, h3, "ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/remove-remote", "punix:"+late)
	testenv.Eventually(t, soon, func() error { return problem(ctx, h3, late) })
	run(t, h3, "ovs-vsctl", "del-port", name)
	testenv.Eventually(t, soon, func() error {
		if tunnel := peer(status(t, h2), h3).Tunnel; tunnel.BFD == "up" {
			return fmt.Errorf("%s: the tunnel to %s is up", h2.Name, h3.Name)
		}
		return nil
	})
	outlives(t, 15*time.Second, func() error {
		s := status(t, h2)
		if tunnel := peer(s, h3).Tunnel; tunnel.Type != "gre" || len(tunnel.Filtered) > 0 {
			return fmt.Errorf("%s: the tunnel to %s is %+v", h2.Name, h3.Name, tunnel)
		}
		for _, p := range s.Problems {
			if strings.Contains(p.What, h3.Name) {
				return fmt.Errorf("%s: %+v", h2.Name, p)
			}
		}
		return nil
	})
	run(t, h3, "ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/add-remote", "punix:"+late)
	testenv.Eventually(t, soon, func() error { return hasType(ctx, h2, h3, "gre") })
}
