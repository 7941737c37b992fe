package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestUninstallLeavesNoTrace has three hosts, set up differently, that were
// meshed and are not any more: all that can be seen of them is as before.
func TestUninstallLeavesNoTrace(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3, Docker: true})
	noRaces(t, l)
	before := furnish(t, l)
	must(t, l.Form(nil))

	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	uninstallKilled(t, l, before[2])
	uninstallStopped(t, l, before[1])
	uninstallRunning(t, l, before[0])

	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	uninstallInParts(t, l, before[2])
	uninstallInterrupted(t, l, before[1])
	uninstallKeepingBip(t, l)
}

// furnish sets the hosts up as their operators might have: the first has
// daemon.json with a bip outside the pool, the second an empty one and a
// container, the third none, a br0 of others, and something else in docker0.
func furnish(t *testing.T, l *testenv.Lab) (before []snapshot) {
	t.Helper()
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	const odd = "{\n  \"shutdown-timeout\": 5,\n    \"bip\" :\"10.99.0.1/24\",\n\t\"labels\": [\"rack=7\",   \"row=b\"] }\n\n"
	must(t, os.WriteFile(h1.DaemonJSON(), []byte(odd), 0o640))
	_, err := h2.RunContainer(ctx, "c1", "--restart", "always")
	must(t, err)
	must(t, l.Each(func(h *testenv.Host) error { return h.RestartDocker(ctx) }))
	must(t, os.Remove(h3.DaemonJSON()))
	run(t, h3, "ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type="+l.Datapath(),
		"--", "add-port", "br0", "theirs", "--", "set", "interface", "theirs", "type=internal",
		"--", "set", "interface", "br0", "mtu_request=1490")
	run(t, h3, "ip", "link", "set", "br0", "up")
	run(t, h3, "ip", "link", "add", "other0", "type", "veth", "peer", "other1")
	run(t, h3, "ip", "link", "set", "other0", "master", "docker0")
	must(t, l.Form(nil)) // the configurations are among the files
	testenv.Eventually(t, soon, func() error {
		return l.Each(func(h *testenv.Host) error {
			out, err := h.Exec(ctx, "ip", "-6", "address", "show", "tentative")
			if out = strings.TrimSpace(out); err == nil && out != "" {
				err = fmt.Errorf("%s: not settled yet: %s", h.Name, out)
			}
			return err
		})
	})
	run(t, h2, "docker", "stop", "c1") // docker0 has had a port before
	for _, h := range l.Hosts() {
		before = append(before, look(t, h))
	}
	return before
}

// uninstall runs the command and returns all that it printed.
func uninstall(t *testing.T, h *testenv.Host, flags ...string) (string, error) {
	t.Helper()
	began := time.Now()
	out, err := h.Exec(t.Context(), "sh", "-c", "exec gremesh uninstall --yes --config "+h.ConfigFile()+" "+strings.Join(flags, " ")+" 2>&1")
	t.Logf("%s: gremesh uninstall took %s:\n%s", h.Name, time.Since(began).Round(100*time.Millisecond), out)
	return out, err
}

// uninstalled is an uninstall that leaves nothing.
func uninstalled(t *testing.T, h *testenv.Host, flags ...string) {
	t.Helper()
	_, err := uninstall(t, h, flags...)
	must(t, err)
}

// gone tells that other hosts drop their port to one within 2 s.
func gone(t *testing.T, name string, others ...*testenv.Host) {
	t.Helper()
	testenv.Eventually(t, 2*time.Second, func() error {
		var errs []error
		for _, h := range others {
			errs = append(errs, hasPort(t.Context(), h, name, false))
		}
		return errors.Join(errs...)
	})
}

// again is a second run, which has nothing to do.
func again(t *testing.T, h *testenv.Host) {
	t.Helper()
	out, err := uninstall(t, h)
	if err != nil || !strings.Contains(out, "nothing of gremesh is on this host") {
		t.Errorf("a second time: %v\n%s", err, out)
	}
}

// uninstallKilled is about a host with a shared br0 whose agent was killed.
func uninstallKilled(t *testing.T, l *testenv.Lab, before snapshot) {
	h := l.Host(3)
	name := port(t, h)
	must(t, h.KillAgent(t.Context()))
	uninstalled(t, h)
	gone(t, name, l.Host(1), l.Host(2))
	same(t, h, before)
	again(t, h)
	same(t, h, before)
}

// uninstallStopped is about a host with a container.
func uninstallStopped(t *testing.T, l *testenv.Lab, before snapshot) {
	ctx, h := t.Context(), l.Host(2)
	name := port(t, h)
	run(t, h, "docker", "start", "c1")
	must(t, h.StopAgent(ctx, syscall.SIGTERM))
	uninstalled(t, h)
	gone(t, name, l.Host(1))
	if state := run(t, h, "docker", "inspect", "-f", "{{.State.Status}}", "c1"); state != "running" {
		t.Errorf("the container is %s", state)
	}
	addr, err := h.ContainerAddr(ctx, "c1")
	must(t, err)
	must(t, h.Ping(ctx, "", addr, 0))
	run(t, h, "docker", "stop", "c1")
	same(t, h, before)
	run(t, h, "docker", "start", "c1") // for the next time
	run(t, h, "docker", "stop", "c1")
}

// uninstallRunning is about the last host of a mesh.
func uninstallRunning(t *testing.T, l *testenv.Lab, before snapshot) {
	h := l.Host(1)
	plan, err := h.Gremesh(t.Context(), "uninstall", "--dry-run")
	must(t, err)
	if !containsAll(plan, "is given up", "ip route del 172.17.0.0/16 dev docker0 proto 77", "ovs-vsctl del-br br0", "daemon.json bip", "dockerd") {
		t.Errorf("the plan is\n%s", plan)
	}
	must(t, auditExit(t, h, 0)) // nothing has been done
	uninstalled(t, h)
	must(t, h.WaitAgent(t.Context()))
	same(t, h, before)
	again(t, h)
}

// uninstallInParts has what a part needs fail first.
func uninstallInParts(t *testing.T, l *testenv.Lab, before snapshot) {
	ctx, h := t.Context(), l.Host(3)
	name := port(t, h)
	must(t, h.KillAgent(ctx))
	join := []string{l.Host(1).Addr.String()}
	must(t, h.WriteConfig(map[string]any{"mesh.join": join, "ovs.db": "unix:" + h.Dir + "/none", "docker.restart": "never"}))
	fails(t, h, "Open vSwitch is not running", "docker must be restarted", "gremesh uninstall` again")
	gone(t, name, l.Host(1), l.Host(2))
	must(t, h.WriteConfig(map[string]any{"mesh.join": join}))
	must(t, h.RestartDocker(ctx))
	good, err := os.ReadFile(h.DaemonJSON())
	must(t, err)
	must(t, os.WriteFile(h.DaemonJSON(), []byte("{"), 0o644))
	fails(t, h, "daemon.json: line 1", "gremesh uninstall` again")
	must(t, os.WriteFile(h.DaemonJSON(), good, 0o644))

	uninstalled(t, h)
	must(t, h.WriteConfig(map[string]any{"mesh.join": join}))
	same(t, h, before)
}

// fails tells that an uninstall ends with 1 and says so.
func fails(t *testing.T, h *testenv.Host, words ...string) {
	t.Helper()
	out, err := uninstall(t, h)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !containsAll(out, words...) {
		t.Errorf("%v, want exit code 1 and %q:\n%s", err, words, out)
	}
}

// uninstallInterrupted kills the command at growing times after its start until
// it is done.
func uninstallInterrupted(t *testing.T, l *testenv.Lab, before snapshot) {
	ctx, h := t.Context(), l.Host(2)
	name := port(t, h)
	must(t, h.StopAgent(ctx, syscall.SIGTERM))
	for patience := 100 * time.Millisecond; ; patience += patience / 2 {
		out, err := h.Exec(ctx, "timeout", "-s", "KILL", fmt.Sprintf("%.3f", patience.Seconds()),
			"gremesh", "uninstall", "--yes", "--config", h.ConfigFile())
		t.Logf("killed after %s: %v\n%s", patience, err, out)
		if err == nil {
			break
		}
		if patience > time.Minute {
			t.Fatal("it does not come to an end")
		}
	}
	gone(t, name, l.Host(1))
	run(t, h, "docker", "stop", "c1") // which Docker has started anew
	same(t, h, before)
}

// uninstallKeepingBip is about containers that run on.
func uninstallKeepingBip(t *testing.T, l *testenv.Lab) {
	ctx, h := t.Context(), l.Host(1)
	bip := status(t, h).Host.Bip
	daemon, err := os.ReadFile(h.DaemonJSON())
	must(t, err)
	for _, name := range []string{"k1", "k2"} {
		_, err := h.RunContainer(ctx, name)
		must(t, err)
	}
	addr, err := h.ContainerAddr(ctx, "k2")
	must(t, err)
	link := indexAndMAC(run(t, h, "ip", "-o", "link", "show", "docker0"))
	pings, gateway := keepPinging(t, h, "k1", addr), keepPinging(t, h, "k1", bip.Addr())
	uninstalled(t, h, "--keep-bip")
	pings.noneLost(t)
	gateway.noneLost(t)
	must(t, h.WaitAgent(ctx))
	if now, err := os.ReadFile(h.DaemonJSON()); err != nil || string(now) != withoutMark(string(daemon)) {
		t.Errorf("daemon.json was\n%s\nand is\n%s, %v", daemon, now, err)
	}
	if now := indexAndMAC(run(t, h, "ip", "-o", "link", "show", "docker0")); now != link {
		t.Errorf("docker0 was %q and is %q", link, now)
	}
	if left := run(t, h, "ovs-vsctl", "list-br"); strings.Contains(left, "br0") {
		t.Errorf("bridges: %s", left)
	}
	if _, err := os.Stat(h.Dir + "/state"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state: %v", err)
	}
}
