package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// dockerIsRestartedOnce is about a mesh that has just formed on hosts where
// Docker had taken 172.17.0.1/16 before.
func dockerIsRestartedOnce(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		restarted(t, h, 1)
	}
}

// restarted tells how often the host's agents have had Docker restarted.
func restarted(t *testing.T, h *testenv.Host, times int) {
	t.Helper()
	agent, err := h.AgentLog()
	must(t, err)
	if n := strings.Count(agent, `"msg":"restarting docker"`); n != times {
		t.Errorf("the agent of %s restarted Docker %d times, want %d", h.Name, n, times)
	}
}

// dockerRestartedByHand loses no more than what Docker itself takes.
func dockerRestartedByHand(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	must(t, h2.RestartDocker(ctx))
	testenv.Eventually(t, 2*time.Second, func() error { return attached(t, h2) })
	whole(t, l)
	containersReachEachOther(t, l)
	auditIsClean(t, l)
	restarted(t, h2, 1)
}

// attached tells that br0 is in docker0, and docker0 has the aggregate route.
func attached(t *testing.T, h *testenv.Host) error {
	route, err := h.Exec(t.Context(), "ip", "route", "show", "172.17.0.0/16")
	if err == nil && !strings.Contains(route, "dev docker0") {
		err = fmt.Errorf("%s: no aggregate route", h.Name)
	}
	link, linkErr := h.Exec(t.Context(), "ip", "-o", "link", "show", "br0")
	if linkErr == nil && !strings.Contains(link, " master docker0 ") {
		linkErr = fmt.Errorf("%s: br0 is not in docker0: %s", h.Name, link)
	}
	return errors.Join(err, linkErr)
}

// TestDockerThatIsNotTheAgentsToRestart has two hosts: on the first Docker
// runs and is restarted by hand only; on the second it comes after the agent,
// with a configuration that was made by hand.
func TestDockerThatIsNotTheAgentsToRestart(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 2, Docker: true})
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	noRaces(t, l)
	must(t, l.Form(nil))
	must(t, h1.WriteConfig(map[string]any{"mesh.bootstrap": true, "docker.restart": "never", "bip": "172.17.41.1/24"}))

	must(t, h2.StopDocker(ctx))
	run(t, h2, "ip", "link", "del", "docker0")
	const byHand = `{
	"log-level": "warn",
	"bip": "172.17.42.1/24",
	"labels": ["rack=7",   "row=b"],
	"shutdown-timeout": 5
}
`
	must(t, os.WriteFile(h2.DaemonJSON(), []byte(byHand), 0o640))

	must(t, l.StartAgents(ctx))
	var link string // of a docker0 that the agent has made
	testenv.Eventually(t, soon, func() error {
		out, err := h2.Exec(ctx, "ip", "-o", "link", "show", "docker0")
		if err == nil {
			err = attached(t, h2)
		}
		link = indexAndMAC(out)
		return err
	})
	testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "dockerd still runs", "restart Docker") })
	audited(t, h1, 1, "dockerd", "restarted, with bip")
	if addr := run(t, h1, "ip", "-o", "-4", "address", "show", "dev", "docker0"); !strings.Contains(addr, " 172.17.0.1/16 ") {
		t.Errorf("docker0 has been touched before Docker was restarted: %s", addr)
	}

	must(t, h2.StartDocker(ctx))
	must(t, h1.RestartDocker(ctx))
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return errors.Join(auditExit(t, h1, 0), auditExit(t, h2, 0)) })
	restarted(t, h1, 0)
	restarted(t, h2, 0)
	if now := indexAndMAC(run(t, h2, "ip", "-o", "link", "show", "docker0")); now != link {
		t.Errorf("docker0 was %q before Docker started, and is %q", link, now)
	}
	if bip := status(t, h2).Host.Bip.String(); bip != "172.17.42.1/24" {
		t.Errorf("the host that was set up by hand has %s", bip)
	}
	text, err := os.ReadFile(h2.DaemonJSON())
	must(t, err)
	if rest := strings.Replace(withoutMark(string(text)), ",\n\t\"mtu\": 1458", "", 1); rest != byHand {
		t.Errorf("daemon.json was\n%s\nand is\n%s", byHand, text)
	}
	must(t, l.Each(func(h *testenv.Host) error {
		_, err := h.RunContainer(ctx, "c1")
		return err
	}))
	containersReachEachOther(t, l)
}

// indexAndMAC is what a device keeps as long as it is not made anew or given
// another MAC, of a line that `ip -o link` printed.
func indexAndMAC(line string) string {
	index, _, _ := strings.Cut(line, ":")
	_, mac, _ := strings.Cut(line, "link/ether ")
	mac, _, _ = strings.Cut(mac, " ")
	return index + " " + mac
}

// TestDaemonJSONStaysItsOwners has no Docker, and so a daemon.json with what
// no dockerd would take.
func TestDaemonJSONStaysItsOwners(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 2})
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	noRaces(t, l)
	must(t, l.Form(nil))
	const odd = `{
  "labels": ["a=1",   "b=2"],
  "max-concurrent-downloads":   12,
  "runtimes": {"nested": {"path": "/bin/true"}}
}
`
	const malformed = "{\n  // the registry of building 7\n  \"debug\": false\n}\n"
	must(t, os.WriteFile(h1.DaemonJSON(), []byte(odd), 0o600))
	must(t, os.WriteFile(h2.DaemonJSON(), []byte(malformed), 0o600))
	must(t, l.StartAgents(ctx))
	whole(t, l) // docker0, tunnels and routes need no daemon.json

	text, err := os.ReadFile(h1.DaemonJSON())
	must(t, err)
	for line := range strings.Lines(odd) {
		if !strings.Contains(string(text), strings.TrimSpace(line)) {
			t.Errorf("daemon.json lacks %q:\n%s", line, text)
		}
	}
	if bip := fmt.Sprintf(`"bip": %q`, status(t, h1).Host.Bip); !containsAll(string(text), bip, `"mtu": 1458`) {
		t.Errorf("daemon.json lacks %s or the MTU:\n%s", bip, text)
	}

	testenv.Eventually(t, soon, func() error {
		return problem(ctx, h2, h2.DaemonJSON()+": line 2, column 3: a comment", "correct "+h2.DaemonJSON())
	})
	testenv.Eventually(t, soon, func() error { return logs(h2, "WARN", h2.DaemonJSON()) })
	audited(t, h2, 3)
	text, err = os.ReadFile(h2.DaemonJSON())
	if err != nil || string(text) != malformed {
		t.Errorf("a malformed daemon.json has been touched: %q, %v", text, err)
	}
	must(t, attached(t, h2))
	must(t, os.WriteFile(h2.DaemonJSON(), []byte("{}"), 0o600))
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
}

// withoutMark is daemon.json without the key that gremesh adds for Docker's
// nftables backend.
func withoutMark(text string) string {
	return strings.Replace(text, ",\n\t\"bridge-accept-fwmark\": \"0x20000000/0x20000000\"", "", 1)
}
