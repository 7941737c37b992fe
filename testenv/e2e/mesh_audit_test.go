package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// TestMeshAudit has one host tell what is wrong with all.
func TestMeshAudit(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 4}, nil)
	inTurn(t, l,
		behaviour{"a whole mesh is clean", wholeMeshIsClean},
		behaviour{"a cut in one direction is seen as one", oneWayIsSeen},
		behaviour{"a port that can't be made is a missing reverse port", missingReverseIsSeen},
		behaviour{"a port of others that makes a loop is seen", loopIsSeen},
		behaviour{"an agent that hangs does not answer", hangingAgentIsSilent},
		behaviour{"watch prints each look", watchPrintsLooks},
		behaviour{"a host that leaves is no false alarm", leavingIsNoAlarm},
		behaviour{"an agent that was killed does not answer", killedAgentIsSilent},
	)
}

// meshAudit is `gremesh audit --mesh` on a host: its exit code and what it prints.
func meshAudit(t *testing.T, h *testenv.Host, argv ...string) (int, string, error) {
	out, err := h.Gremesh(t.Context(), append([]string{"audit", "--mesh"}, argv...)...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), out, nil
	}
	return 0, out, err
}

// meshAuditExit tells that the audit of the mesh ends with a code and prints
// these words.
func meshAuditExit(t *testing.T, h *testenv.Host, code int, words ...string) error {
	got, out, err := meshAudit(t, h)
	if err == nil && (got != code || !containsAll(out, words...)) {
		err = fmt.Errorf("%s: the mesh's audit ends with %d, want %d with the words %q:\n%s", h.Name, got, code, words, out)
	}
	return err
}

func wholeMeshIsClean(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return meshAuditExit(t, h, 0, "4 hosts, 12 of 12 directed tunnels up", "clean") })
	}
	code, out, err := meshAudit(t, l.Host(2), "-o", "json")
	must(t, err)
	var audit mesh.FullAudit
	must(t, json.Unmarshal([]byte(out), &audit))
	if code != 0 || len(audit.Hosts) != 4 || len(audit.Tunnels) != 12 || len(audit.Findings) != 0 || audit.From != "h2" {
		t.Errorf("ends with %d:\n%s", code, out)
	}
	for _, tunnel := range audit.Tunnels {
		if tunnel.State != mesh.CellUp || !tunnel.Protected || tunnel.BFD != "up" {
			t.Errorf("%+v", tunnel)
		}
	}
}

// oneWayIsSeen is told by a host that is not at either end.
func oneWayIsSeen(t *testing.T, l *testenv.Lab) {
	must(t, l.Cut(t.Context(), l.Host(2), l.Host(3)))
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(1), 1, "one way only: what h2 sends to h3 does not arrive", "10 of 12 directed tunnels up",
			fmt.Sprintf("from %s to %s", l.Host(2).Addr, l.Host(3).Addr))
	})
	must(t, l.Heal(t.Context()))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, l.Host(1), 0) })
}

func missingReverseIsSeen(t *testing.T, l *testenv.Lab) {
	h2, name := l.Host(2), port(t, l.Host(3))
	run(t, h2, "ovs-vsctl", "del-port", "br0", name, "--", "add-port", "br0", name, "--", "set", "interface", name, "type=internal")
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(1), 1, "h2 has no tunnel to h3, which has one to it", "which is not gremesh's", "ovs-vsctl del-port br0 "+name)
	})
	run(t, h2, "ovs-vsctl", "del-port", "br0", name)
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, l.Host(1), 0) })
}

func loopIsSeen(t *testing.T, l *testenv.Lab) {
	h2 := l.Host(2)
	run(t, h2, "ovs-vsctl", "add-port", "br0", "hand", "--", "set", "interface", "hand", "type=gre",
		"options:remote_ip="+l.Host(3).Addr.String(), "options:key=99")
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, l.Host(1), 1, "h2's port hand to", "not protected", "ovs-vsctl set port hand protected=true")
	})
	run(t, h2, "ovs-vsctl", "set", "port", "hand", "protected=true")
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, l.Host(1), 0) })
	run(t, h2, "ovs-vsctl", "del-port", "br0", "hand")
}

func hangingAgentIsSilent(t *testing.T, l *testenv.Lab) {
	h3 := l.Host(3)
	pid, err := h3.AgentPID()
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	silentInTime(t, l.Host(1), h3)
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, l.Host(1), 0) })
}

// silentInTime tells that a host is said not to answer, not before 2 s. How long
// the rest takes, on a machine that is busy, says nothing.
func silentInTime(t *testing.T, h, other *testenv.Host) {
	t.Helper()
	began := time.Now()
	must(t, meshAuditExit(t, h, 3, other.Name+" ("+other.Addr.String()+") does not answer", "silent"))
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func watchPrintsLooks(t *testing.T, l *testenv.Lab) {
	// In the foreground, timeout signals once. A second signal ends the process.
	out, err := l.Host(1).Exec(t.Context(), "timeout", "--foreground", "--preserve-status", "-s", "INT", "5", "gremesh", "audit", "--mesh", "--watch", "-o", "json",
		"--config", l.Host(1).ConfigFile())
	must(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 2 {
		t.Errorf("%d looks in 5 s:\n%s", len(lines), out)
	}
	for _, line := range lines {
		var audit mesh.FullAudit
		must(t, json.Unmarshal([]byte(line), &audit))
		if len(audit.Findings) > 0 || audit.Up != 12 {
			t.Errorf("a look at a whole mesh found %+v", audit.Findings)
		}
	}
}

// leavingIsNoAlarm looks again and again while a host leaves and comes back.
// One that has just come may not be able to tell of itself yet.
func leavingIsNoAlarm(t *testing.T, l *testenv.Lab) {
	h1, h4 := l.Host(1), l.Host(4)
	noAlarmWhile(t, h1, []int{0}, func() {
		_, err := h4.Gremesh(t.Context(), "leave")
		must(t, err)
		must(t, h4.WaitAgent(t.Context()))
		testenv.Eventually(t, soon, func() error { return meshAuditExit(t, h1, 0, "3 hosts, 6 of 6 directed tunnels up") })
	})
	noAlarmWhile(t, h1, []int{0, 3}, func() {
		must(t, h4.StartAgent(t.Context()))
		whole(t, l)
	})
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, h1, 0, "clean") })
}

// noAlarmWhile tells that audits during something end with one of these codes.
func noAlarmWhile(t *testing.T, h *testenv.Host, codes []int, something func()) {
	t.Helper()
	stop, alarm := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				alarm <- nil
				return
			default:
			}
			code, out, err := meshAudit(t, h)
			if err == nil && !slices.Contains(codes, code) {
				err = fmt.Errorf("%s: the mesh's audit ends with %d:\n%s", h.Name, code, out)
			}
			if err != nil {
				alarm <- err
				return
			}
		}
	}()
	something()
	close(stop)
	must(t, <-alarm)
}

func killedAgentIsSilent(t *testing.T, l *testenv.Lab) {
	h1, h3 := l.Host(1), l.Host(3)
	must(t, h3.KillAgent(t.Context()))
	silentInTime(t, h1, h3)
	testenv.Eventually(t, soon, func() error { return isFailed(t, h1, h3) })
	testenv.Eventually(t, soon, func() error {
		return meshAuditExit(t, h1, 3, "h3 ("+h3.Addr.String()+") is not heard of any more", "gremesh forget h3")
	})
	must(t, h3.StartAgent(t.Context()))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return meshAuditExit(t, h1, 0) })
}
