package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestPlansAreWhatTheAgentDoes has a mesh that was made by the printed commands
// before any agent, and mended by them while the agents were stopped.
func TestPlansAreWhatTheAgentDoes(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 2})
	must(t, l.Form(nil))
	inTurn(t, l,
		behaviour{"before the first start", planMakesAMesh},
		behaviour{"a running agent is asked", planAsksTheAgent},
		behaviour{"changes have their causes, and come soon", changesHaveTheirCauses},
		behaviour{"agents stopped", planMendsWithoutAgents},
	)
}

// plan is what `gremesh plan` prints, and its command lines alone.
func plan(t *testing.T, h *testenv.Host, argv ...string) (script string, commands []string) {
	t.Helper()
	script, err := h.Gremesh(t.Context(), append([]string{"plan"}, argv...)...)
	must(t, err)
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && line != "set -e" && line[0] != '#' {
			commands = append(commands, line)
		}
	}
	return script, commands
}

// sh has a shell on the host run a script.
func sh(t *testing.T, h *testenv.Host, script string) {
	t.Helper()
	cmd := h.Command(t.Context(), "sh")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", h.Name, err, out, script)
	}
}

// writeDaemonJSON does what the plan can't.
func writeDaemonJSON(t *testing.T, h *testenv.Host, bip string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(h.DaemonJSON()), 0o755))
	must(t, os.WriteFile(h.DaemonJSON(), fmt.Appendf(nil, "{\"bip\": %q, \"mtu\": 1462}\n", bip), 0o644))
}

func planMakesAMesh(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	file := filepath.Join(t.TempDir(), "peers.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "- {name: h2, underlay: %s, subnet: 172.17.43.0/24}\n- {name: h1, underlay: %s, subnet: 172.17.42.0/24}\n", h2.Addr, h1.Addr), 0o644))
	if script, _ := plan(t, h1); !containsAll(script, "assumed: this host gets 172.17.0.0/24", "ovs-vsctl add-br br0", "ip link add docker0") {
		t.Errorf("without peers: %s", script)
	}
	for i, h := range l.Hosts() {
		bip := fmt.Sprintf("172.17.%d.1/24", 42+i)
		script, commands := plan(t, h, "--assume-peers", file)
		if again, _ := plan(t, h, "--assume-peers", file); again != script || len(commands) == 0 {
			t.Errorf("%s: looking has changed something, or there is nothing to do:\n%s\n%s", h.Name, script, again)
		}
		if !containsAll(script, `"bip": "`+bip+`"`, `"mtu": 1462`, h.DaemonJSON()) {
			t.Errorf("%s: what is to be written into daemon.json is not told:\n%s", h.Name, script)
		}
		sh(t, h, script)
		writeDaemonJSON(t, h, bip)
		if script, commands := plan(t, h, "--assume-peers", file); len(commands) > 0 || !strings.Contains(script, "# nothing would be changed") {
			t.Errorf("%s: the second plan is not empty:\n%s", h.Name, script)
		}
		if _, err := os.Stat(filepath.Join(h.Dir, "state")); !os.IsNotExist(err) {
			t.Errorf("%s: there is a state, %v", h.Name, err)
		}
	}
	testenv.Eventually(t, soon, func() error { return h1.Ping(t.Context(), "", netip.MustParseAddr("172.17.43.1"), 0) })

	must(t, l.StartAgents(t.Context()))
	noRaces(t, l)
	whole(t, l)
	for i, h := range l.Hosts() {
		if got, want := status(t, h).Host.Bip.String(), fmt.Sprintf("172.17.%d.1/24", 42+i); got != want {
			t.Errorf("%s has %s, want %s: what the commands made is in use, and asked for", h.Name, got, want)
		}
		// No plan can know the IDs, nor which host is up first; and that one takes
		// what leads to the other for what leads to nobody.
		theirs := strings.TrimSuffix(status(t, l.Hosts()[1-i]).Host.Subnet.String(), "0/24")
		for _, c := range recent(t, h, time.Time{}) {
			leads := strings.HasPrefix(c.Object, "port ") || strings.HasPrefix(c.Object, "fdb ") || strings.HasPrefix(c.Object, "flows ") ||
				strings.Contains(c.Object, " "+theirs) || c.Object == "nftables table ip gremesh"
			if c.Event == "" && c.Object != "lease" && !leads && !strings.HasSuffix(c.Object, "external_ids:gremesh") {
				t.Errorf("%s: the agent changed something: %+v", h.Name, c)
			}
		}
	}
}

func planAsksTheAgent(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	if script, commands := plan(t, h1); len(commands) > 0 || !strings.Contains(script, "# nothing would be changed") {
		t.Errorf("nothing is wrong, and it says\n%s", script)
	}
	file := filepath.Join(t.TempDir(), "peers.yaml")
	must(t, os.WriteFile(file, []byte("[]"), 0o644))
	if out, err := h1.Gremesh(t.Context(), "plan", "--assume-peers", file); err == nil || !strings.Contains(err.Error(), "knows its peers") {
		t.Errorf("%v\n%s", err, out)
	}
	run(t, h1, "ip", "route", "del", "172.17.0.0/16", "dev", "docker0")
	testenv.Eventually(t, soon, func() error {
		out, err := h1.Gremesh(t.Context(), "history", "-n", "1")
		if err == nil && !containsAll(out, "route 172.17.0.0/16", "changed by another program") {
			err = fmt.Errorf("history:\n%s", out)
		}
		return err
	})
}

func planMendsWithoutAgents(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	name := port(t, h2)
	for _, h := range l.Hosts() {
		must(t, h.StopAgent(ctx, syscall.SIGTERM))
	}
	for _, damages := range [][][]string{
		{{"ovs-vsctl", "set", "port", name, "protected=false"}, {"ip", "route", "del", "172.17.0.0/16", "dev", "docker0"}, {"sysctl", "-qw", "net.ipv4.conf.docker0.send_redirects=1"}},
		{{"ovs-vsctl", "del-port", "br0", name}, {"ip", "address", "flush", "dev", "docker0"}, {"ip", "address", "add", "172.17.0.1/16", "dev", "docker0"}},
		{{"ovs-vsctl", "del-br", "br0"}, {"ip", "link", "del", "docker0"}},
	} {
		for _, damage := range damages {
			run(t, h1, damage...)
		}
		script, commands := plan(t, h1)
		if len(commands) < len(damages) {
			t.Errorf("%s", script)
		}
		sh(t, h1, script)
		if script, commands := plan(t, h1); len(commands) > 0 {
			t.Errorf("the second plan is not empty:\n%s", script)
		}
	}
	changed := changes(t, h1)
	must(t, l.StartAgents(ctx))
	whole(t, l)
	audited(t, h1, 0)
	if n := changes(t, h1) - changed; n != 0 {
		t.Errorf("the agent changed %d things on a host that was mended by hand:\n%s", n, agentLog(t, h1))
	}
	if out, err := h1.Gremesh(ctx, "history", "-n", "0"); err != nil || !containsAll(out, "lease", "route 172.17.0.0/16") {
		t.Errorf("the history is lost with the agent: %v\n%s", err, out)
	}
}

func agentLog(t *testing.T, h *testenv.Host) string {
	t.Helper()
	text, err := h.AgentLog()
	must(t, err)
	return text
}
