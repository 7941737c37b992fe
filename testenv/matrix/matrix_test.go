package matrix

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSelectKeepsTheOrderOfCells(t *testing.T) {
	for _, tc := range []struct{ names, want []string }{
		{nil, []string{"trixie", "sid", "docker29", "docker29-nftables"}},
		{[]string{"sid", "trixie"}, []string{"trixie", "sid"}},
		{[]string{"docker29"}, []string{"docker29"}},
	} {
		cells, err := Select(tc.names)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cells {
			got = append(got, c.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("Select(%v) is %v, want %v", tc.names, got, tc.want)
		}
	}
	if _, err := Select([]string{"woody"}); err == nil || !strings.Contains(err.Error(), "trixie, sid") {
		t.Errorf("an unknown cell: %v", err)
	}
}

func TestSuitesAreFoldersWithTests(t *testing.T) {
	for _, s := range Suites() {
		if found, _ := filepath.Glob(filepath.Join("../..", s.Folder, "*_test.go")); len(found) == 0 {
			t.Errorf("%s has no tests", s.Folder)
		}
	}
}

// Each word of Versioned must select a test, or a renamed test is left out
// without notice.
func TestVersionedSelectsTests(t *testing.T) {
	for _, s := range Suites() {
		files, err := filepath.Glob(filepath.Join("../..", s.Folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if name, ok := strings.CutPrefix(line, "func Test"); ok {
					names = append(names, name)
				}
			}
		}
		for word := range strings.SplitSeq(s.Versioned, "|") {
			if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, word) }) {
				t.Errorf("no test of %s has %q in its name", s.Folder, word)
			}
		}
	}
}

func TestCommandOfASuite(t *testing.T) {
	s := Suite{Folder: "testenv/e2e", Timeout: time.Minute, Versioned: "Direct|MTU", Labs: true}
	for _, tc := range []struct {
		run       string
		versioned bool
		want      string
	}{
		{"", false, "/out/testenv_e2e.test -test.v -test.timeout=1m0s -gremesh=/out/gremesh"},
		{"", true, "/out/testenv_e2e.test -test.v -test.timeout=1m0s -test.run=Direct|MTU -gremesh=/out/gremesh"},
		{"TestX", true, "/out/testenv_e2e.test -test.v -test.timeout=1m0s -test.run=TestX -gremesh=/out/gremesh"},
	} {
		if got := strings.Join(s.command("/out", tc.run, tc.versioned), " "); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestOutputIsCounted(t *testing.T) {
	output := `=== RUN   TestA
    --- FAIL: TestA/part (0.01s)
--- FAIL: TestA (0.02s)
--- PASS: TestB (0.00s)
--- PASS: TestC (1.00s)
--- SKIP: TestD (0.00s)
FAIL
`
	const rest = "    --- FAIL: TestA/part (0.01s)\n--- FAIL: TestA (0.02s)\n--- SKIP: TestD (0.00s)\nFAIL\n"
	if diff := cmp.Diff(rest, withoutPasses(output)); diff != "" {
		t.Error(diff)
	}
	got := parseOutput(output)
	got.took, got.failed = 3*time.Second, true
	if text := got.String(); text != "2 passed, 1 skipped, FAILED: TestA (3 s)" {
		t.Error(text)
	}
	crashed := suiteResult{passed: 1, failed: true}
	if text := crashed.String(); text != "1 passed, FAILED (0 s)" {
		t.Error(text)
	}
}

func TestVersionsAreRead(t *testing.T) {
	const output = `Docker version 28.5.2+dfsg4, build 89c5e8f
containerd github.com/containerd/containerd/v2 2.1.9~ds1 2.1.9~ds1-1
ovs-vswitchd (Open vSwitch) 4.0.0
iptables v1.8.13 (nf_tables)
nftables v1.1.7 (Commodore Bullmoose #8)
`
	want := versions{docker: "28.5.2+dfsg4", containerd: "2.1.9~ds1", ovs: "4.0.0", iptables: "1.8.13", nft: "1.1.7"}
	if diff := cmp.Diff(want, parseVersions(output), cmp.AllowUnexported(versions{})); diff != "" {
		t.Error(diff)
	}
}

func TestTableHasARowPerCell(t *testing.T) {
	suites := []Suite{{Folder: "ovsdb"}, {Folder: "bridge"}}
	results := []cellResult{{
		cell: Cell{Name: "sid"}, versions: versions{docker: "28.5.2", ovs: "4.0.0"},
		suites: []suiteResult{{passed: 46, took: time.Minute}, {passed: 27, failures: []string{"TestX"}, failed: true}},
	}}
	want := `| cell | Docker | Open vSwitch | ovsdb | bridge |
|---|---|---|---|---|
| sid | 28.5.2 | 4.0.0 | 46 passed (60 s) | 27 passed, FAILED: TestX (0 s) |
`
	if diff := cmp.Diff(want, table(suites, results)); diff != "" {
		t.Error(diff)
	}
	if !anyFailed(results) {
		t.Error("no failure is seen")
	}
}

func TestCacheIsFilledOnce(t *testing.T) {
	dir, made := t.TempDir(), 0
	write := func(path string) error {
		made++
		return os.WriteFile(path, []byte("root"), 0o600)
	}
	interrupted := errors.New("interrupted")
	if _, err := cached(dir, "sid", func(path string) error { return errors.Join(write(path), interrupted) }); !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	for range 2 {
		path, err := cached(dir, "sid", write)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "root" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if made != 2 {
		t.Errorf("made %d times, want one interrupted and one whole", made)
	}
}

func TestCacheIsOutsideTheCheckout(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/somewhere")
	if got := CacheDir(); got != "/somewhere/gremesh/matrix" {
		t.Error(got)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	if got := CacheDir(); got != "/var/cache/gremesh/matrix" {
		t.Error(got)
	}
}
