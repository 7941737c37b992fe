package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/testenv"
)

// TestTwoHoldersOfOneSubnet cuts a mesh of two in halves that forget each
// other, and each takes in a host of which the subnet was set by hand, to the
// same. Then the halves meet.
func TestTwoHoldersOfOneSubnet(t *testing.T) {
	const bip, subnet = "172.17.77.1", "172.17.77.0/24"
	l := start(t, testenv.Config{Hosts: 4, Docker: true})
	ctx, h1, h2, h3, h4 := t.Context(), l.Host(1), l.Host(2), l.Host(3), l.Host(4)
	noRaces(t, l)
	must(t, l.Form(nil))
	for h, own := range map[*testenv.Host]string{h1: "172.17.71.1", h2: "172.17.72.1"} { // so that neither has the other two's by chance
		must(t, os.WriteFile(h.DaemonJSON(), []byte(`{"bip": "`+own+`/24"}`), 0o644))
	}
	must(t, h1.StartAgent(ctx))
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h2) })
	must(t, l.Partition(ctx, []*testenv.Host{h1, h3}))
	testenv.Eventually(t, soon, func() error { return errors.Join(isFailed(t, h1, h2), isFailed(t, h2, h1)) })
	for _, half := range []struct{ has, forgets, newcomer *testenv.Host }{{h1, h2, h3}, {h2, h1, h4}} {
		run(t, half.has, "gremesh", "forget", "--yes", "--force", half.forgets.Name, "--config", half.has.ConfigFile())
		must(t, os.WriteFile(half.newcomer.DaemonJSON(), []byte(`{"bip": "`+bip+`/24"}`), 0o644))
		must(t, join(half.newcomer, half.has, nil))
		must(t, half.newcomer.StartAgent(ctx))
		testenv.Eventually(t, soon, func() error { // a removal by force counts only where it was ordered
			_, err := half.newcomer.Gremesh(ctx, "forget", "--yes", "--force", half.forgets.Name)
			return err
		})
		testenv.Eventually(t, soon, func() error {
			return errors.Join(meshed(ctx, half.has, half.newcomer), gateway(ctx, half.newcomer, bip))
		})
		_, err := half.newcomer.RunContainer(ctx, "c1", "--restart=always")
		must(t, err)
	}
	began := map[*testenv.Host]string{h3: containerStart(t, h3), h4: containerStart(t, h4)}
	must(t, l.Heal(ctx))

	winner, loser := h3, h4
	// Who has forgotten the other half asks the seeds, every 30 s.
	testenv.Eventually(t, 30*time.Second+soon, func() error {
		if problem(ctx, h3, "conflict since") == nil {
			winner, loser = h4, h3
			return nil
		}
		return problem(ctx, h4, "conflict since")
	})
	mine, its := status(t, loser).Host, status(t, winner).Host
	cut := func() error { return cutOut(ctx, loser, winner, h1, h2) }
	t.Run("the loser has no tunnels, and the rest is whole", func(t *testing.T) {
		testenv.Eventually(t, soon, cut)
	})
	t.Run("the loser names both", func(t *testing.T) {
		must(t, problem(ctx, loser, "conflict since "+time.Now().UTC().Format("2006-"), subnet,
			mine.ID, loser.Addr.String(), winner.Name, its.ID, winner.Addr.String(), "gremesh renumber"))
	})
	t.Run("a container keeps it from renumbering", func(t *testing.T) {
		outlives(t, 3*time.Second, cut)
		must(t, loser.Ping(ctx, "c1", mine.Bip.Addr(), 0))
		for h, then := range began {
			if now := containerStart(t, h); now != then {
				t.Errorf("the container of %s was started at %s, and again at %s", h.Name, then, now)
			}
		}
	})
	t.Run("gremesh renumber ends it", func(t *testing.T) {
		asked := time.Now()
		run(t, loser, "gremesh", "renumber", "--yes", "--config", loser.ConfigFile())
		testenv.Eventually(t, 5*time.Second, func() error { // Docker may not be due for a restart yet
			addr, err := loser.Exec(ctx, "ip", "-o", "-4", "address", "show", "dev", "docker0")
			link, linkErr := loser.Exec(ctx, "ip", "-o", "link", "show", "br0")
			if strings.Contains(addr, bip) && strings.Contains(link, " master docker0 ") {
				err = fmt.Errorf("%s is in the mesh with an address that is the winner's", loser.Name)
			}
			return errors.Join(err, linkErr)
		})
		whole(t, l) // Docker has its bip, too
		made := recent(t, loser, asked)
		out := slices.IndexFunc(made, func(c journal.Change) bool { return c.Object == "link br0 master" && c.Is == "" })
		port := slices.IndexFunc(made, func(c journal.Change) bool { return strings.HasPrefix(c.Object, "port ") })
		if out < 0 || port < out {
			t.Errorf("%s had tunnels while docker0 had the winner's address in the mesh: %+v", loser.Name, made)
		}
		if now := containerStart(t, winner); now != began[winner] {
			t.Errorf("the winner's container was started at %s, and again at %s", began[winner], now)
		}
		testenv.Eventually(t, soon, func() error {
			addr, err := winner.ContainerAddr(ctx, "c1")
			if err == nil {
				err = loser.Ping(ctx, "c1", addr, 0)
			}
			return err
		})
		for _, h := range l.Hosts() {
			testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		}
	})
}

// cutOut tells that no tunnel leads to or from the loser of a conflict, that
// everyone lists it as such, and that the others have all of theirs.
func cutOut(ctx context.Context, loser *testenv.Host, others ...*testenv.Host) error {
	s, err := loser.Status(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if all, err := ports(ctx, loser); err != nil || len(all) > 0 {
		errs = append(errs, fmt.Errorf("%s has the ports %s: %w", loser.Name, all, err))
	}
	for _, h := range append(others, loser) {
		if its, err := lease(ctx, h, loser); err != nil || !its.Lost || its.State != "held" {
			errs = append(errs, fmt.Errorf("to %s the loser's lease is %+v: %w", h.Name, its, err))
		}
	}
	for _, h := range others {
		to, err := h.Exec(ctx, "ovs-vsctl", "--bare", "--columns=name", "find", "port", fmt.Sprintf("external_ids:gremesh-peer=%q", s.Host.ID))
		if err != nil || strings.TrimSpace(to) != "" {
			errs = append(errs, fmt.Errorf("%s has %q to the loser: %w", h.Name, to, err))
		}
		its, err := h.Status(ctx)
		errs = append(errs, err)
		for _, other := range others {
			if bfd := peer(its, other).Tunnel.BFD; other != h && bfd != "up" {
				errs = append(errs, fmt.Errorf("from %s to %s, BFD is %q", h.Name, other.Name, bfd))
			}
		}
		if its, err := lease(ctx, h, h); err != nil || its.Lost {
			errs = append(errs, fmt.Errorf("%s has lost, too: %w", h.Name, err))
		}
	}
	return errors.Join(errs...)
}

// gateway tells that Docker has a bip.
func gateway(ctx context.Context, h *testenv.Host, bip string) error {
	out, err := h.Exec(ctx, "docker", "network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", "bridge")
	if err == nil && strings.TrimSpace(out) != bip {
		err = fmt.Errorf("%s: Docker's containers have the gateway %s, not %s", h.Name, out, bip)
	}
	return err
}

func containerStart(t *testing.T, h *testenv.Host) string {
	t.Helper()
	return run(t, h, "docker", "inspect", "-f", "{{.State.StartedAt}}", "c1")
}
