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
// allowed in a guest only.
func needs(t *testing.T, features ...kernel.Feature) {
	t.Helper()
	for _, f := range features {
		err := f.Missing(t.Context())
		if err == nil {
			continue
		}
		if os.Getenv("CI") == "true" && !kernel.Inside() {
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
	if os.Getenv("TESTENV_DATAPATH") != "system" {
		t.Skip("is about the kernel's datapath: make test-kernel")
	}
}

// lacksNFTablesIP is asked often, and for each answer the kernel makes a namespace.
var lacksNFTablesIP = sync.OnceValue(func() bool { return kernel.NFTablesIP.Missing(context.Background()) != nil })

// problems returns those of a host without what is true of every host on a kernel
// that lacks nf_tables' families ip and inet.
func problems(t *testing.T, h *testenv.Host) []mesh.Problem {
	t.Helper()
	return slices.DeleteFunc(status(t, h).Problems, func(p mesh.Problem) bool {
		return lacksNFTablesIP() &&
			(strings.Contains(p.What, "this kernel lacks nftables' ip family") || strings.Contains(p.What, "this kernel lacks nftables' inet family"))
	})
}
