package matrix

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestLabsRunBesideTheOtherSuites has two suites of which each waits for the
// other. The root is this machine's.
func TestLabsRunBesideTheOtherSuites(t *testing.T) {
	testenv.Require(t, true)
	cache, bin, source := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Symlink("/", filepath.Join(cache, "sid-"+recipeHash(rootScript))); err != nil {
		t.Fatal(err)
	}
	suites := []Suite{{Folder: "first"}, {Folder: "second"}, {Folder: "labs", Labs: true}}
	for _, s := range suites {
		script := "#!/bin/sh\necho '--- PASS: TestX (0.00s)'; touch /tmp/" + s.Folder + "; ls /tmp | wc -l\n"
		if s.Folder != "first" {
			other := map[string]string{"second": "labs", "labs": "second"}[s.Folder]
			script += "touch /out/" + s.Folder + "; i=0; until [ -e /out/" + other + " ]; do i=$((i+1)); [ $i -lt 400 ] || exit 1; sleep 0.05; done\n"
		}
		if err := os.WriteFile(filepath.Join(bin, s.binary()), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(source, s.Folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	r := &runner{Config: Config{Source: source, Cache: cache, Logs: t.TempDir(), Stdout: &out}, suites: suites}
	result, err := r.cell(t.Context(), Cell{Name: "sid", Suite: "sid"}, bin)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.suites) != 3 || anyFailed([]cellResult{result}) {
		t.Errorf("%+v\n%s", result.suites, &out)
	}
	for _, s := range suites {
		text, err := os.ReadFile(filepath.Join(r.Logs, "sid", s.Folder+".log"))
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(text)), "\n1") {
			t.Errorf("%s has the /tmp of another suite: %q, %v", s.Folder, text, err)
		}
	}
}
