package rules

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gremesh/gremesh/"

// packages runs go list in the repository and returns its lines.
func packages(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return strings.Fields(string(out))
}

// isStandard reports whether an import path belongs to the standard library.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func TestTheCoreNeedsOnlyTheStandardLibrary(t *testing.T) {
	for _, pkg := range []string{"mesh/reconcile", "mesh/lease"} {
		for _, dep := range packages(t, "-deps", "./"+pkg) {
			if dep != module+pkg && !isStandard(dep) {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}

// Nobody but main ends the process, and main only connects.
func TestTheCommandOnlyConnects(t *testing.T) {
	goFiles(t, func(path string, content []byte) {
		dir, name := filepath.Split(path)
		test := strings.HasSuffix(name, "_test.go")
		if dir == "cmd/gremesh/" && !test && !slices.Contains([]string{"doc.go", "main.go", "wire.go"}, name) {
			t.Errorf("%s belongs to a package in cmd/internal", path)
		}
		if !strings.HasPrefix(path, "cmd/") && !strings.HasPrefix(path, "testenv/") || strings.HasPrefix(path, "cmd/internal/") {
			if bytes.Contains(content, []byte("os.Exit(")) && !test {
				t.Errorf("%s ends the process", path)
			}
		}
	})
}

// The configuration and the rendering know nothing of the daemon.
func TestTheConfigurationAndTheRenderingStandAlone(t *testing.T) {
	for _, pkg := range []string{"cmd/internal/config", "cmd/internal/exit", "cmd/internal/cli/render"} {
		for _, dep := range packages(t, "-deps", "./"+pkg) {
			if strings.HasPrefix(dep, module+"cmd/") && dep != module+pkg {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}

// What two components have in common belongs to a package that neither is.
func TestComponentsDoNotImportEachOther(t *testing.T) {
	components := []string{"ovsdb", "bridge", "bridge/docker", "bridge/filter"}
	for _, pkg := range components {
		deps := packages(t, "-deps", "./"+pkg)
		for _, dep := range deps {
			for _, other := range components {
				if other != pkg && dep == module+other {
					t.Errorf("%s imports %s", pkg, other)
				}
			}
		}
	}
}
