package testenv

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Start creates a lab for a test and removes it at the end of the test. If the
// test has failed, it first prints a diagnosis of every host. If the machine
// cannot run a lab, Start skips the test, or fails it when CI=true.
func Start(t testing.TB, cfg Config) *Lab {
	t.Helper()
	Require(t, cfg.Docker)
	l, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.diagnose(t)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Require skips the test if Check returns an error. When CI=true, it fails the
// test instead.
func Require(t testing.TB, docker bool) {
	t.Helper()
	err := Check(docker)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

func (l *Lab) diagnose(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, h := range l.hosts {
		t.Logf("%s (%s)\n%s", h.Name, h.Addr, h.Diagnosis(ctx))
	}
}

// Diagnosis returns the first information to read after a failure on a host:
// its switch, addresses, routes, tunnels, flows, and the ends of its logs.
func (h *Host) Diagnosis(ctx context.Context) string {
	commands := [][]string{
		{"ovs-vsctl", "show"},
		{"ip", "-br", "address"},
		{"ip", "route"},
		{"ovs-appctl", "bfd/show"},
		{"ovs-appctl", "tnl/neigh/show"},
		{"ovs-appctl", "dpctl/dump-flows"},
	}
	for _, tail := range [][]string{
		{"tail", "-n", "40", h.path("agent.log")},
		{"tail", "-n", "10", h.path("docker", "dockerd.log")},
	} {
		if _, err := os.Stat(tail[3]); err == nil {
			commands = append(commands, tail)
		}
	}
	var report strings.Builder
	for _, argv := range commands {
		out, err := h.Exec(ctx, argv...)
		report.WriteString("$ " + strings.Join(argv, " ") + "\n" + out)
		if err != nil {
			report.WriteString(err.Error() + "\n")
		}
	}
	return report.String()
}
