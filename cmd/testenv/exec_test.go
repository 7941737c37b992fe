package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestCommandsInALabConcernTheLab has gremesh, in a lab, tell what was changed
// and what an uninstall would do: it is the lab's host, and not this machine.
func TestCommandsInALabConcernTheLab(t *testing.T) {
	testenv.Require(t, false)
	bin := t.TempDir()
	for name, folder := range map[string]string{"testenv": ".", "gremesh": "../gremesh"} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, name), folder)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	lab := testenv.Start(t, testenv.Config{Hosts: 1, Binary: filepath.Join(bin, "gremesh")})
	h := lab.Host(1)
	state := filepath.Join(h.Dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	const change = `{"time":"2026-11-21T09:30:00Z","object":"port gre43","was":"","is":"gre to h2","cause":"h2 joined","seconds":0.04}` + "\n"
	if err := os.WriteFile(filepath.Join(state, "history.jsonl"), []byte(change), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		command string
		want    []string
	}{
		{"gremesh history", []string{"gre43"}},
		{"gremesh uninstall --dry-run", []string{state}},
		// A login shell has the path of /etc/profile.
		{"env PATH=" + os.Getenv("PATH") + " " + filepath.Join(bin, "gremesh") + " uninstall --dry-run", []string{state}},
		{"gremesh status", []string{filepath.Join(h.Dir, "gremesh.sock")}}, // no agent answers there
	} {
		argv := append([]string{"exec", lab.Name + "/h1"}, strings.Fields(tc.command)...)
		out, _ := exec.CommandContext(t.Context(), filepath.Join(bin, "testenv"), argv...).CombinedOutput()
		for _, want := range tc.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s does not name %s:\n%s", tc.command, want, out)
			}
		}
		for _, machine := range []string{"/var/lib/gremesh", "/etc/docker", "systemctl restart"} {
			if strings.Contains(string(out), machine) {
				t.Errorf("%s names %s:\n%s", tc.command, machine, out)
			}
		}
	}
}
