package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// TestHostsThatAreGoneForGood has two hosts in a mesh, and a third that comes.
func TestHostsThatAreGoneForGood(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	noRaces(t, l)
	must(t, l.Form(nil))
	h1, h2 := l.Host(1), l.Host(2)
	must(t, h1.StartAgent(t.Context()))
	must(t, h2.StartAgent(t.Context()))
	testenv.Eventually(t, soon, func() error { return meshed(t.Context(), h1, h2) })
	inTurn(t, l,
		behaviour{"one of two that is gone blocks a newcomer until it is forgotten", forgetting},
		behaviour{"a host that was forgotten by mistake has its subnet again", forgottenByMistake},
		behaviour{"a forgotten host whose subnet is taken renumbers by itself", forgottenAndReplaced},
		behaviour{"one of two that is gone blocks a newcomer until its lease has run out", runningOut},
	)
}

// forgetting has the second host die, and the third come.
func forgetting(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	dies(t, h2)
	before := machine(t, h3)
	must(t, h3.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return waitsFor(ctx, h3, h2) })
	testenv.Eventually(t, soon, func() error { return isFailed(t, h1, h2) })
	must(t, waitsFor(ctx, h3, h2))
	unchanged(t, h3, before)
	_, err := h1.Gremesh(ctx, "forget", "--yes", h2.Name)
	if err == nil || !containsAll(err.Error(), "1 of 2 hosts with a lease agree", "gremesh forget --force "+h2.Name) {
		t.Errorf("one of two forgets the other without force: %v", err)
	}
	run(t, h1, "gremesh", "forget", "--yes", "--force", h2.Name, "--config", h1.ConfigFile())
	testenv.Eventually(t, soon, func() error { return problem(ctx, h3, "the operator of "+h1.Name+" removed "+h2.Name+" ") })
	must(t, waitsFor(ctx, h3, h2))
	unchanged(t, h3, before)
	run(t, h3, "gremesh", "forget", "--yes", "--force", h2.Name, "--config", h3.ConfigFile())
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h3) })
	testenv.Eventually(t, soon, func() error { // two of three agree, now that there is a third
		if l, err := lease(ctx, h1, h2); err == nil {
			return fmt.Errorf("%s is not forgotten: %+v", h2.Name, l)
		}
		return nil
	})
}

// forgottenByMistake has the second host come back.
func forgottenByMistake(t *testing.T, l *testenv.Lab) {
	h2 := l.Host(2)
	before := written(t, h2)
	must(t, h2.UnderlayUp(t.Context()))
	must(t, h2.StartAgent(t.Context()))
	whole(t, l)
	if now := written(t, h2); !slices.Equal(now, before) {
		t.Errorf("the forgotten host had %s, and has written %s since", before, now)
	}
}

// forgottenAndReplaced cuts the second host off, and gives its subnet to the
// third.
func forgottenAndReplaced(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	subnet := status(t, h2).Host.Subnet
	must(t, l.Partition(ctx, []*testenv.Host{h2}))
	for _, h := range []*testenv.Host{h1, h3} {
		testenv.Eventually(t, soon, func() error { return isFailed(t, h, h2) })
	}
	run(t, h1, "gremesh", "forget", "--yes", h2.Name, "--config", h1.ConfigFile())
	testenv.Eventually(t, soon, func() error { // once it has heard
		_, err := h3.Gremesh(ctx, "renumber", "--yes", "--to", subnet.String())
		return err
	})
	run(t, h2, "ip", "link", "add", "c1", "master", "docker0", "type", "veth", "peer", "name", "c1-peer") // as if a container were attached
	must(t, l.Heal(ctx))
	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, "was forgotten while it was offline", subnet.String(), h3.Name) })
	testenv.Eventually(t, soon, func() error {
		all, err := ports(ctx, h2)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("%s, whose subnet is another's, has the ports %s", h2.Name, all)
		}
		return err
	})
	audited(t, h1, 0)
	run(t, h2, "ip", "link", "delete", "c1")
	run(t, h2, "sh", "-c", "ip link set docker0 down; ip link set docker0 up") // which the agent hears of
	testenv.Eventually(t, soon, func() error { return logs(h2, "renumbered", "no container is attached") })
	whole(t, l)
	if now := status(t, h3).Host.Subnet; now != subnet {
		t.Errorf("the third host took %s and has %s", subnet, now)
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
}

// runningOut has the third host die, and the second come as a new host.
func runningOut(t *testing.T, l *testenv.Lab) {
	const ttl = 5 * time.Second
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	run(t, h2, "gremesh", "leave", "--release", "--config", h2.ConfigFile())
	must(t, h2.WaitAgent(ctx))
	must(t, os.RemoveAll(h2.Dir+"/state"))
	must(t, h2.WriteConfig(map[string]any{"mesh.join": []string{h1.Addr.String()}, "lease_ttl": ttl.String()}))
	dies(t, h3)
	testenv.Eventually(t, soon, func() error { return isFailed(t, h1, h3) })
	must(t, h1.StopAgent(ctx, syscall.SIGTERM))
	must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "lease_ttl": ttl.String()}))
	must(t, h1.StartAgent(ctx))

	before := machine(t, h2)
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return waitsFor(ctx, h2, h3) })
	unchanged(t, h2, before)
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h2) })
	testenv.Eventually(t, soon, func() error { return logs(h1, "a lease has expired", h3.Name) })
	state, err := lease(ctx, h1, h3)
	if err != nil || state.State != "expired" || state.Host != "failed" {
		t.Errorf("the lease that has run out: %+v, %v", state, err)
	}
}

// dies takes a host away without a goodbye.
func dies(t *testing.T, h *testenv.Host) {
	t.Helper()
	must(t, h.UnderlayDown(t.Context()))
	must(t, h.KillAgent(t.Context()))
}

// waitsFor tells that a host has no lease because of hosts that do not answer.
func waitsFor(ctx context.Context, h *testenv.Host, silent ...*testenv.Host) error {
	s, err := h.Status(ctx)
	if err != nil {
		return err
	}
	for _, other := range silent {
		if s.Host.Lease != "waiting" || s.Host.Subnet.IsValid() || !containsAll(s.Host.Waiting, "no answer from", other.Name, other.Addr.String()) {
			return fmt.Errorf("the lease of %s is %q: %s", h.Name, s.Host.Lease, s.Host.Waiting)
		}
	}
	return nil
}

// lease is what a host knows of the lease of another.
func lease(ctx context.Context, h, other *testenv.Host) (mesh.Lease, error) {
	out, err := h.Gremesh(ctx, "leases", "-o", "json")
	if err != nil {
		return mesh.Lease{}, err
	}
	var all []mesh.Lease
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return mesh.Lease{}, fmt.Errorf("%s: read leases: %w", h.Name, err)
	}
	for _, l := range all {
		if l.Name == other.Name {
			return l, nil
		}
	}
	return mesh.Lease{}, fmt.Errorf("%s knows of no lease of %s", h.Name, other.Name)
}
