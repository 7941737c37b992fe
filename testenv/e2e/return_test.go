package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestHostsThatComeBack is about hosts that return without something that
// they had.
func TestHostsThatComeBack(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3}, nil)
	inTurn(t, l,
		behaviour{"Open vSwitch crashes, and is emptied", openVSwitchCrashes},
		behaviour{"agents killed while they start", agentsKilledWhileTheyStart},
		behaviour{"a state file cut short or emptied", stateFileCutShort},
		behaviour{"a founder that forgot its mesh is told", founderThatForgot},
		behaviour{"told to join, it takes the place of its silent self", founderToldToJoin},
		behaviour{"another name", anotherName},
		behaviour{"another address", anotherAddress},
	)
}

func openVSwitchCrashes(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	must(t, h2.KillVswitchd(ctx))
	must(t, h2.StartVswitchd(ctx))
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
	whole(t, l)
	must(t, h2.StopOVS(ctx))
	must(t, h2.WipeOVS())
	began := time.Now()
	must(t, h2.StartOVS(ctx))
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
	whole(t, l)
	must(t, named(t, h2, began, map[string]string{"bridge br0": "the database of Open vSwitch was emptied"}))
}

// agentsKilledWhileTheyStart kills all agents at different points of their
// start, again and again; they keep their subnets.
func agentsKilledWhileTheyStart(t *testing.T, l *testenv.Lab) {
	ctx := t.Context()
	before := subnets(t, l)
	must(t, l.Each(func(h *testenv.Host) error { return h.KillAgent(ctx) }))
	for life := 20 * time.Millisecond; life < 300*time.Millisecond; life += 20 * time.Millisecond {
		must(t, l.StartAgents(ctx))
		must(t, l.Each(func(h *testenv.Host) error {
			<-time.After(life) // how long it lives is the point
			return h.KillAgent(ctx)
		}))
	}
	must(t, l.StartAgents(ctx))
	whole(t, l)
	if now := subnets(t, l); now != before {
		t.Errorf("the subnets were %s and are %s", before, now)
	}
}

func subnets(t *testing.T, l *testenv.Lab) string {
	t.Helper()
	var all []string
	for _, h := range l.Hosts() {
		all = append(all, status(t, h).Host.Subnet.String())
	}
	return strings.Join(all, " ")
}

// stateFileCutShort is what a full disk does: the host learns its lease anew.
func stateFileCutShort(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	file, before, bips := h2.Dir+"/state/state.json", subnets(t, l), written(t, h2)
	for _, size := range []int64{100, 0} {
		must(t, h2.KillAgent(ctx))
		must(t, os.Truncate(file, size))
		must(t, h2.StartAgent(ctx))
		whole(t, l)
		testenv.Eventually(t, soon, func() error { return logs(h2, "learn this host's lease again", file, "damaged") })
		if now := subnets(t, l); now != before || !slices.Equal(written(t, h2), bips) {
			t.Errorf("the subnets were %s and are %s", before, now)
		}
	}
}

// founderThatForgot deletes the first host's state. Its configuration says
// mesh.bootstrap, and it reaches nobody: it creates another mesh. Nobody takes
// part in both.
func founderThatForgot(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	must(t, h1.KillAgent(ctx))
	must(t, os.RemoveAll(h1.Dir+"/state"))
	must(t, l.Partition(ctx, []*testenv.Host{h1}))
	must(t, h1.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error {
		s, err := h1.Status(ctx)
		if err == nil && !s.Host.Subnet.IsValid() {
			err = errors.New("h1 has created no mesh yet")
		}
		return err
	})
	must(t, l.Heal(ctx))
	testenv.Eventually(t, soon, func() error {
		return errors.Join(
			problem(ctx, h1, "of another mesh"),
			problem(ctx, l.Host(2), h1.Addr.String(), "of another mesh"),
			problem(ctx, l.Host(3), h1.Addr.String(), "of another mesh"),
			counts(ctx, h1, 1, 0),
		)
	})
}

// founderToldToJoin goes on where the founder forgot. It is a new host.
func founderToldToJoin(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	must(t, h1.StopAgent(ctx, syscall.SIGTERM))
	must(t, h1.StartAgent(ctx, "--join", h2.Addr.String()))
	whole(t, l)
	name := port(t, h1)
	for _, h := range l.Hosts()[1:] {
		testenv.Eventually(t, soon, func() error { return hasPort(ctx, h, name, true) })
		if all, err := ports(ctx, h); err != nil || len(all) != 2 {
			t.Errorf("%s has the ports %s, %v: one to a host that is no more?", h.Name, all, err)
		}
		audited(t, h, 0)
	}
}

func anotherName(t *testing.T, l *testenv.Lab) {
	const name = "renamed"
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	port, before, bips := port(t, h2), subnets(t, l), written(t, h2)
	restart := func(name string) {
		must(t, h2.StopAgent(ctx, syscall.SIGTERM))
		must(t, join(h2, h1, map[string]any{"node.name": name}))
		must(t, h2.StartAgent(ctx))
		testenv.Eventually(t, soon, func() error {
			known, err := h1.Exec(ctx, "ovs-vsctl", "get", "port", port, "external_ids:gremesh-name")
			if err == nil && strings.TrimSpace(known) != name {
				err = fmt.Errorf("%s: %s leads to %s, want %s", h1.Name, port, known, name)
			}
			return err
		})
	}
	restart(name)
	whole(t, l)
	if now := subnets(t, l); now != before || !slices.Equal(written(t, h2), bips) {
		t.Errorf("the subnets were %s and are %s", before, now)
	}
	restart(h2.Name)
	whole(t, l)
}

// anotherAddress is the last: the lab does not know of it.
func anotherAddress(t *testing.T, l *testenv.Lab) {
	const addr = "10.90.0.33"
	ctx, h3 := t.Context(), l.Host(3)
	name, before := port(t, h3), subnets(t, l)
	must(t, h3.StopAgent(ctx, syscall.SIGTERM))
	dev := "br-phy"
	if os.Getenv("TESTENV_DATAPATH") == "system" {
		dev = "eth0"
	}
	run(t, h3, "ip", "address", "del", h3.Addr.String()+"/24", "dev", dev)
	run(t, h3, "ip", "address", "add", addr+"/24", "dev", dev)
	must(t, join(h3, l.Host(1), map[string]any{"node.advertise": addr}))
	must(t, h3.StartAgent(ctx))
	for _, h := range l.Hosts()[:2] {
		testenv.Eventually(t, soon, func() error {
			remote, err := h.Exec(ctx, "ovs-vsctl", "get", "interface", name, "options:remote_ip")
			if err == nil && strings.TrimSpace(remote) != `"`+addr+`"` {
				err = fmt.Errorf("%s: %s leads to %s, want %s", h.Name, name, remote, addr)
			}
			return err
		})
	}
	whole(t, l)
	if now := subnets(t, l); now != before {
		t.Errorf("the subnets were %s and are %s", before, now)
	}
}
