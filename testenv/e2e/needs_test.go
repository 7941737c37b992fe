package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

// leftOut are the tests that were left out for want of something in the kernel.
var leftOut struct {
	sync.Mutex
	lines []string
}

// needs leaves a test out where the kernel lacks what it is about. In CI that is
// allowed in a guest of user-mode Linux only.
func needs(t *testing.T, features ...kernel.Feature) {
	t.Helper()
	for _, f := range features {
		err := f.Missing(t.Context())
		if err == nil {
			continue
		}
		if os.Getenv("CI") == "true" && !kernel.MayLack() {
			t.Fatal(err)
		}
		leftOut.Lock()
		leftOut.lines = append(leftOut.lines, fmt.Sprintf("%s: %v", t.Name(), err))
		leftOut.Unlock()
		t.Skip(err)
	}
}

// tellLeftOut is for the end of the run.
func tellLeftOut(w io.Writer) {
	leftOut.Lock()
	defer leftOut.Unlock()
	slices.Sort(leftOut.lines)
	for _, line := range leftOut.lines {
		fmt.Fprintln(w, "left out here:", line)
	}
}

// onKernel skips what only Open vSwitch in the kernel shows.
func onKernel(t *testing.T) {
	t.Helper()
	if !onKernelDatapath() {
		t.Skip("is about the kernel's datapath: make test-kernel")
	}
}

func onKernelDatapath() bool { return os.Getenv("TESTENV_DATAPATH") == "system" }

// lacks reports once for each of nftables' families whether this kernel lacks it.
// Each question makes a namespace, and tests ask for problems in a loop.
var lacks = map[string]func() bool{
	"ip":   sync.OnceValue(func() bool { return kernel.NFTablesIP.Missing(context.Background()) != nil }),
	"inet": sync.OnceValue(func() bool { return kernel.NFTablesInet.Missing(context.Background()) != nil }),
}

// problems returns a host's problems, without those that every host has on a
// kernel that lacks a family of nftables.
func problems(t *testing.T, h *testenv.Host) []mesh.Problem {
	t.Helper()
	return slices.DeleteFunc(status(t, h).Problems, func(p mesh.Problem) bool { return ofTheKernel(p, lacks) })
}

// ofTheKernel reports whether a problem is that the kernel lacks a family of
// nftables, and the kernel does lack it.
func ofTheKernel(p mesh.Problem, lacks map[string]func() bool) bool {
	for family, isMissing := range lacks {
		if strings.Contains(p.What, "this kernel lacks nftables' "+family+" family") && isMissing() {
			return true
		}
	}
	return false
}

func TestProblemsOfTheKernelArePassedOver(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	inet := mesh.Problem{What: "containers reach the tunnels: this kernel lacks nftables' inet family, or fib expressions in it"}
	for _, c := range []struct {
		problem  mesh.Problem
		ip, inet func() bool
		want     bool
	}{
		{inet, no, yes, true},
		{inet, yes, no, false},
		{mesh.Problem{What: "sources are masqueraded: this kernel lacks nftables' ip family, or NAT in it"}, yes, no, true},
		{mesh.Problem{What: "the tunnel to h2 is down"}, yes, yes, false},
	} {
		if got := ofTheKernel(c.problem, map[string]func() bool{"ip": c.ip, "inet": c.inet}); got != c.want {
			t.Errorf("%s: got %t, want %t", c.problem.What, got, c.want)
		}
	}
}

// noProblems waits until status shows none: a problem goes with the pass that
// sees that its cause is gone, and audit looks for itself.
func noProblems(t *testing.T, h *testenv.Host) {
	t.Helper()
	testenv.Eventually(t, soon, func() error {
		if found := problems(t, h); len(found) > 0 {
			return fmt.Errorf("%s has problems: %+v", h.Name, found)
		}
		return nil
	})
}
