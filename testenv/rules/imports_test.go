package rules

import (
	"os/exec"
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
