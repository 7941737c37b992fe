package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// auditExit returns an error unless `gremesh audit` on a host ends with a code and
// prints these words.
func auditExit(t *testing.T, h *testenv.Host, code int, words ...string) error {
	out, err := h.Gremesh(t.Context(), "audit")
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if got != code || !containsAll(out, words...) {
		return fmt.Errorf("%s: audit ends with %d, want %d with the words %q:\n%s", h.Name, got, code, words, out)
	}
	return nil
}

// audited polls until `gremesh audit` on a host ends with a code and prints these
// words. A single audit may meet a change that another host has just caused.
func audited(t *testing.T, h *testenv.Host, code int, words ...string) {
	t.Helper()
	testenv.Eventually(t, soon, func() error { return auditExit(t, h, code, words...) })
}

// auditTellsWhatIsInTheWay makes a port that has the name of a tunnel of
// gremesh's, and so keeps it from being made.
func auditTellsWhatIsInTheWay(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	name := port(t, l.Host(2))
	run(t, h1, "ovs-vsctl", "del-port", "br0", name, "--", "add-port", "br0", name, "--", "set", "interface", name, "type=internal")
	testenv.Eventually(t, soon, func() error { return problem(ctx, h1, "port "+name, "not gremesh's", "ovs-vsctl del-port br0 "+name) })
	audited(t, h1, 1, "port "+name, "not gremesh's", "should be")
	for line := range strings.Lines(run(t, h1, "ovs-vsctl", "get", "interface", name, "type")) {
		if strings.TrimSpace(line) != "internal" {
			t.Errorf("a port of others has been touched: %s", line)
		}
	}
	run(t, h1, "ovs-vsctl", "del-port", "br0", name)
	whole(t, l)
	audited(t, h1, 0)
}

// handDamageIsMended takes away, by hand, a bit of everything.
func handDamageIsMended(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	name := port(t, l.Host(2))
	for _, damage := range [][]string{
		{"ip", "route", "del", "172.17.0.0/16", "dev", "docker0"},
		{"ip", "link", "set", "br0", "nomaster"},
		{"ip", "link", "set", "docker0", "down"},
		{"ip", "link", "set", "docker0", "mtu", "1400"},
		{"ip", "link", "set", "docker0", "address", "02:00:00:00:00:77"},
		{"ip", "address", "flush", "dev", "docker0"},
		{"ip", "link", "del", "docker0"},
		{"ovs-vsctl", "del-port", "br0", name},
		{"ovs-vsctl", "set", "port", name, "protected=false"},
		{"ovs-vsctl", "set", "port", name, "external_ids:gremesh-name=h9"},
		{"ovs-vsctl", "set", "interface", name, "options:remote_ip=10.90.0.99"},
		{"ovs-vsctl", "del-br", "br0"},
	} {
		run(t, h1, damage...)
		testenv.Eventually(t, soon, func() error {
			if err := auditExit(t, h1, 0); err != nil {
				return fmt.Errorf("after %s: %w", strings.Join(damage, " "), err)
			}
			return nil
		})
	}
	whole(t, l)
}
