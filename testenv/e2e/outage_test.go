package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// sigtermLeavesTheDataPath restarts an agent while a container talks.
func sigtermLeavesTheDataPath(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	addr, err := h2.ContainerAddr(ctx, "c1")
	must(t, err)
	pings := keepPinging(t, h1, "c1", addr)
	subnet, before := status(t, h1).Host.Subnet, run(t, h1, "ovs-vsctl", "show")

	must(t, h1.StopAgent(ctx, syscall.SIGTERM)) // exits with 0
	if now := run(t, h1, "ovs-vsctl", "show"); now != before {
		t.Errorf("the agent's end changed the switch from\n%s\nto\n%s", before, now)
	}
	pings.more(t)
	changed := changes(t, h1)
	must(t, h1.StartAgent(ctx))
	whole(t, l)
	pings.noneLost(t)
	if now := status(t, h1).Host.Subnet; now != subnet {
		t.Errorf("the subnet was %s and is %s after a restart", subnet, now)
	}
	if n := changes(t, h1) - changed; n != 0 {
		t.Errorf("the restarted agent changed %d things on a host that was as it should be", n)
	}
}

// crashedAgentKeepsItsTunnels needs a peer_grace that is not over by the time
// that gossip has noticed.
func crashedAgentKeepsItsTunnels(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	addr, err := h3.ContainerAddr(ctx, "c1")
	must(t, err)
	name := port(t, h3)
	pings := keepPinging(t, h1, "c1", addr)
	must(t, h3.KillAgent(ctx))
	for _, h := range []*testenv.Host{h1, h2} {
		testenv.Eventually(t, soon, func() error { return isFailed(t, h, h3) })
		must(t, hasPort(ctx, h, name, true))
	}
	testenv.Eventually(t, soon, func() error { return counts(ctx, h1, 2, 1) })
	pings.noneLost(t)
	must(t, h3.StartAgent(ctx))
	whole(t, l)
	containersReachEachOther(t, l)
}

func isFailed(t *testing.T, h, other *testenv.Host) error {
	s, err := h.Status(t.Context())
	if err != nil {
		return err
	}
	if state := peer(s, other).State; state != "failed" {
		return fmt.Errorf("to %s, %s is %q", h.Name, other.Name, state)
	}
	return nil
}

// counts tells that a host sees so many hosts alive, with all tunnels among
// them up, and so many failed.
func counts(ctx context.Context, h *testenv.Host, alive, failed int) error {
	s, err := h.Status(ctx)
	if total := s.Mesh; err == nil && (total.Hosts != alive || total.TunnelsUp != alive*(alive-1) || total.Failed != failed) {
		err = fmt.Errorf("%s counts %+v, want %d hosts alive and %d failed: %+v", h.Name, total, alive, failed, s.Peers)
	}
	return err
}

// TestDeadHostKeepsItsPortForTheGrace is about a host whose data path dies too.
func TestDeadHostKeepsItsPortForTheGrace(t *testing.T) {
	const grace = 3 * time.Second
	l := startMesh(t, testenv.Config{Hosts: 3}, map[string]any{"peer_grace": grace.String()})
	ctx, h1, h3 := t.Context(), l.Host(1), l.Host(3)
	name := port(t, h3)
	must(t, h3.KillAgent(ctx))
	testenv.Eventually(t, soon, func() error { return isFailed(t, h1, h3) })
	outlives(t, 2*grace, func() error { return hasPort(ctx, h1, name, true) }) // for BFD is up

	must(t, h3.StopOVS(ctx))
	testenv.Eventually(t, soon, func() error {
		s, err := h1.Status(ctx)
		if bfd := peer(s, h3).Tunnel.BFD; err == nil && bfd != "down" {
			err = fmt.Errorf("BFD is %q", bfd)
		}
		return err
	})
	outlives(t, grace/2, func() error { return hasPort(ctx, h1, name, true) })
	// The end of a grace wakes no one; a pass comes every 30 s.
	testenv.Eventually(t, 30*time.Second+soon, func() error { return hasPort(ctx, h1, name, false) })
	audited(t, h1, 0)

	must(t, h3.StartOVS(ctx))
	must(t, h3.StartAgent(ctx))
	whole(t, l)
	must(t, hasPort(ctx, h1, name, true))
}

// outlives tells that something stays so for a while.
func outlives(t *testing.T, d time.Duration, holds func() error) {
	t.Helper()
	end := time.Now().Add(d)
	testenv.Eventually(t, d+soon, func() error {
		if err := holds(); err != nil {
			t.Fatal(err)
		}
		if time.Now().Before(end) {
			return fmt.Errorf("not %s yet", d)
		}
		return nil
	})
}

// TestAgentWithoutOpenVSwitchWaitsForIt has an ovsdb-server that does not
// listen where the agent looks. It can't be stopped instead: it takes the
// userspace datapath with it, and that holds the underlay.
func TestAgentWithoutOpenVSwitchWaitsForIt(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 2})
	ctx, h2 := t.Context(), l.Host(2)
	late := h2.Dir + "/ovs/late.sock"
	listen := func(verb, remote string) {
		run(t, h2, "ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/"+verb+"-remote", remote)
	}
	must(t, l.Form(nil))
	must(t, h2.WriteConfig(map[string]any{"mesh.join": []string{l.Host(1).Addr.String()}, "ovs.db": "unix:" + late}))
	must(t, l.StartAgents(ctx))
	noRaces(t, l)

	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, late, "systemctl start openvswitch-switch") })
	// daemon.json is not written before Open vSwitch answers.
	testenv.Eventually(t, soon, func() error {
		return auditExit(t, h2, 1, "daemon.json bip: is missing", "Open vSwitch is not running")
	})
	listen("add", "punix:"+late)
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
	noProblems(t, h2)

	listen("remove", "punix:"+late)
	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, late) })
	audited(t, h2, 3)
	listen("add", "punix:"+late)
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
}
