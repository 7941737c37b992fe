package bench

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestBenchRuns is there so that what nobody runs every day still works. No
// figure is looked at. On the kernel's datapath (TESTENV_DATAPATH=system) the
// data path is the kernel's; a guest for it would take too long here.
func TestBenchRuns(t *testing.T) {
	testenv.Require(t, true)
	binary := filepath.Join(t.TempDir(), "gremesh")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/gremesh/gremesh/cmd/gremesh")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	leftOut := []string{pathKernel.Name, leases.Name} // leases are of the full mesh's code
	if os.Getenv("TESTENV_DATAPATH") == "system" {
		leftOut[0] = path.Name
	}
	r, err := Run(t.Context(), Config{
		Binary:  binary,
		Flannel: filepath.Join("..", "..", "bin", "flanneld"), // if make bench was run
		Only:    slices.DeleteFunc(names(), func(name string) bool { return slices.Contains(leftOut, name) }),
		Quick:   true,
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	must(t, err)
	must(t, r.Write(t.TempDir()))
	t.Logf("%+v", r.Parts)
	for _, table := range Tables() {
		of := table.of(r.Series)
		if len(of) == 0 && !slices.Contains(leftOut, table.Name) {
			t.Errorf("%s: nothing was measured", table.Name)
		}
		for _, s := range of {
			if len(s.Samples) == 0 {
				t.Errorf("no samples of %+v", s)
			}
		}
	}
}

func TestUnknownTablesAreRefused(t *testing.T) {
	if _, err := Run(t.Context(), Config{Only: []string{"full mash"}}); err == nil {
		t.Error("a table that there is not was not refused")
	}
}
