package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestDockerThatWouldNotTakeTheBip has three hosts whose Docker would not use
// gremesh's bip after a restart. Docker, docker0 and containers must stay as
// they are, and status must say what to do.
func TestDockerThatWouldNotTakeTheBip(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3, Docker: true})
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	noRaces(t, l)
	must(t, l.Form(nil))

	// live-restore with a running container
	must(t, os.WriteFile(h1.DaemonJSON(), []byte("{\"live-restore\": true}\n"), 0o644))
	must(t, h1.RestartDocker(ctx))
	_, err := h1.RunContainer(ctx, "old")
	must(t, err)
	// another --config-file than docker.daemon_json
	other := h2.Dir + "/other.json"
	must(t, h2.WriteConfig(map[string]any{"mesh.join": []string{h1.Addr.String()}, "docker.daemon_json": other}))
	_, err = h2.RunContainer(ctx, "old")
	must(t, err)
	// a comment that somebody has added since Docker's start
	const commented = "{\n  // why\n  \"debug\": false\n}\n"
	must(t, os.WriteFile(h3.DaemonJSON(), []byte(commented), 0o644))
	_, err = h3.RunContainer(ctx, "old")
	must(t, err)
	before := make(map[*testenv.Host]string)
	for _, h := range l.Hosts() {
		before[h] = dockerdProcess(t, h)
	}

	must(t, l.StartAgents(ctx))
	says := map[*testenv.Host][]string{
		h1: {"live-restore", "ignores the bip", "172.17.0.1/16", "stop all containers"},
		h2: {"reads " + h2.DaemonJSON(), "docker.daemon_json is " + other, "set docker.daemon_json"},
		h3: {h3.DaemonJSON() + ": line 2, column 3: a comment", "correct "},
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return problem(ctx, h, says[h]...) })
		if audit := auditExit(t, h, 0); audit == nil {
			t.Errorf("%s: audit is clean although Docker does not use the bip", h.Name)
		}
		_, err := h.RunContainer(ctx, "new")
		must(t, err)
		for _, name := range []string{"old", "new"} {
			if out, err := h.Exec(ctx, "docker", "exec", name, "ping", "-c", "1", "-W", "2", "172.17.0.1"); err != nil {
				t.Errorf("%s: the container %s does not reach its gateway: %v\n%s", h.Name, name, err, out)
			}
		}
		if now := dockerdProcess(t, h); now != before[h] {
			t.Errorf("%s: dockerd was process %s, and is %s", h.Name, before[h], now)
		}
		restarted(t, h, 0)
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("%s was written, and dockerd does not read it: %v", other, err)
	}
	if text, err := os.ReadFile(h3.DaemonJSON()); err != nil || string(text) != commented {
		t.Errorf("daemon.json with a comment became %q, %v", text, err)
	}

	t.Run("a key that this dockerd does not know", func(t *testing.T) {
		must(t, os.WriteFile(h3.DaemonJSON(), []byte("{\"no-such-key\": 1}\n"), 0o644))
		testenv.Eventually(t, soon, func() error { return problem(ctx, h3, "would not start with it", "no-such-key") })
		restarted(t, h3, 0)
	})
	t.Run("the file is corrected", func(t *testing.T) {
		must(t, os.WriteFile(h3.DaemonJSON(), []byte("{\"debug\": false}\n"), 0o644))
		takesTheBip(t, h3)
	})
	t.Run("the containers are stopped", func(t *testing.T) {
		run(t, h1, "docker", "rm", "-f", "old")
		run(t, h1, "docker", "rm", "-f", "new")
		takesTheBip(t, h1)
	})
	t.Run("a dockerd that dies is named at once, and by the agent's next run", func(t *testing.T) {
		must(t, h1.KillDocker(ctx))
		testenv.Eventually(t, 5*time.Second, func() error { return problem(ctx, h1, "dockerd does not run", "systemctl start docker") })
		audited(t, h1, 1, "dockerd: is not running")
		must(t, h1.StopAgent(ctx, syscall.SIGTERM))
		must(t, h1.StartAgent(ctx))
		testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "dockerd does not run", "systemctl start docker") })
		audited(t, h1, 1, "dockerd: is not running")
		must(t, h1.StartDocker(ctx))
		// h2 is not in the mesh, so the path to it stays a problem.
		testenv.Eventually(t, soon, func() error {
			for _, p := range status(t, h1).Problems {
				if strings.Contains(p.What, "dockerd") {
					return fmt.Errorf("%s: Docker runs again, and status says %q", h1.Name, p.What)
				}
			}
			return nil
		})
		restarted(t, h1, 1)
	})
}

// takesTheBip waits until Docker uses the bip after one restart, and a new
// container reaches its gateway.
func takesTheBip(t *testing.T, h *testenv.Host) {
	t.Helper()
	ctx, bip := t.Context(), status(t, h).Host.Bip
	testenv.Eventually(t, soon, func() error {
		out, err := h.Exec(ctx, "docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
		if err == nil && strings.TrimSpace(out) != bip.Addr().String() {
			err = fmt.Errorf("%s: Docker's network has %s, want %s", h.Name, strings.TrimSpace(out), bip.Addr())
		}
		if err == nil {
			err = attached(t, h)
		}
		return err
	})
	restarted(t, h, 1)
	_, err := h.RunContainer(ctx, "later")
	must(t, err)
	run(t, h, "docker", "exec", "later", "ping", "-c", "1", "-W", "2", bip.Addr().String())
	run(t, h, "docker", "rm", "-f", "later")
}

// dockerdProcess is the process ID of the host's dockerd.
func dockerdProcess(t *testing.T, h *testenv.Host) string {
	t.Helper()
	pid, err := os.ReadFile(h.Dir + "/docker/dockerd.pid")
	must(t, err)
	return strings.TrimSpace(string(pid))
}
