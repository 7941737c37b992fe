package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// given is a report of which everything is known: sizes out of order, a way
// that lacks a measure, a base that is 0, and a part that failed.
func given() Report {
	return Report{
		Began:   time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC),
		Command: []string{"bin/testenv", "bench"},
		Machine: Machine{CPU: "slow", Processors: 2, Memory: "1 kB", Load: "0.00 0.10 0.20",
			Versions: []Software{{"Linux", "6.1.0"}, {"gremesh", "v0.1.0 (go1.26)"}}},
		Parts: []Part{
			{Table: fullMesh.Name, Seconds: 60},
			{Table: stampede.Name, Seconds: 1, Note: "On a Sunday."},
			{Table: path.Name, Seconds: 2, Error: "recipe by hand: iperf3 hangs"},
			{Table: rest.Name, Error: "no\nroom"},
		},
		Series: []Series{
			{fullMesh.Name, atPresent, byAgents.name, 10, "s", []float64{1, 3, 2}},
			{fullMesh.Name, atPresent, byHandHosts.name, 10, "s", []float64{1, 1, 2}},
			{fullMesh.Name, atUp, byAgents.name, 10, "s", []float64{0.01234}},
			{fullMesh.Name, atPresent, byAgents.name, 3, "s", []float64{1, 2}},
			{fullMesh.Name, atPresent, byHandHosts.name, 3, "s", []float64{0.5, 4}},
			{stampede.Name, "claims and answers for it", byAgents.name, 1000, "messages", []float64{2452.4}},
			{path.Name, "TCP", recipePath, 2, "Mbit/s", []float64{0, 0}},
			{path.Name, "TCP", "vxlan", 2, "Mbit/s", []float64{100, 2000}},
		},
	}
}

func TestPageOfAReport(t *testing.T) {
	var page bytes.Buffer
	must(t, given().writeMarkdown(&page, Tables()))
	golden := filepath.Join("testdata", "page.md")
	if *update {
		must(t, os.WriteFile(golden, page.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("-want +got, -update writes it anew:\n%s", diff)
	}
}

func TestReportIsAFolder(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "benchmarks-of-yesterday.svg")
	must(t, os.WriteFile(old, nil, 0o644))
	must(t, given().Write(dir))
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a plot of another report: %v", err)
	}

	text, err := os.ReadFile(filepath.Join(dir, "benchmarks.json"))
	must(t, err)
	var back Report
	must(t, json.Unmarshal(text, &back))
	if diff := cmp.Diff(given(), back); diff != "" {
		t.Errorf("JSON: -want +got:\n%s", diff)
	}

	// One plot, of what there is at two sizes; the page shows that one.
	plots, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	must(t, err)
	if len(plots) != 1 {
		t.Fatalf("plots: %q", plots)
	}
	page, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	must(t, err)
	if link := "](" + filepath.Base(plots[0]) + ")"; strings.Count(string(page), "![") != 1 || !strings.Contains(string(page), link) {
		t.Errorf("the page does not show %s alone:\n%s", link, page)
	}
	drawn, err := os.ReadFile(plots[0])
	must(t, err)
	for _, want := range []string{byAgents.name, byHandHosts.name, atPresent, "hosts"} {
		if !strings.Contains(string(drawn), want) {
			t.Errorf("the plot does not say %q", want)
		}
	}
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyMeasuresHaveARowEach(t *testing.T) {
	table := Table{Name: "t", Sizes: "peers", Base: "b"}
	var all []Series
	for _, m := range []string{"v", "w", "x", "y", "z"} {
		all = append(all,
			Series{"t", m, "a", 20, "s", []float64{4}}, Series{"t", m, "a", 10, "s", []float64{1}},
			Series{"t", m, "b", 10, "s", []float64{2}})
	}
	all = append(all, Series{"t", "a's own", "a", 10, "MB", []float64{5}}, Series{"t", "a's own", "a", 20, "MB", []float64{6}})
	got := table.grids(all)
	const begins = "|  | peers |  |  | × |\n" +
		"| --- | --- | --- | --- | --- |\n" +
		"| v, s | 10 | a | 1.00 | 0.500 |\n" +
		"| v, s | 10 | b | 2.00 | 1 |\n" +
		"| v, s | 20 | a | 4.00 |  |\n" +
		"| w, s | 10 |"
	const ends = "\n\n" +
		"| a alone | 10 peers | 20 peers |\n" +
		"| --- | --- | --- |\n" +
		"| a's own, MB | 5.00 | 6.00 |"
	if !strings.HasPrefix(got, begins) || !strings.HasSuffix(got, ends) {
		t.Errorf("got\n%s\nwant\n%s…%s", got, begins, ends)
	}
}

func TestFigures(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.01234: "0.0123", 0.9996: "1.000", 1: "1.00", 12.34: "12.3", 1234.5: "1234", 0.5 / zero: "–",
	} {
		if got := figure(x); got != want {
			t.Errorf("figure(%g) = %s, want %s", x, got, want)
		}
	}
	if got := ratio([]float64{2, 30, 6}, []float64{1, 10, 3}); got != 2 {
		t.Errorf("the median of 2, 3 and 2 is %g", got)
	}
	if got := ratio([]float64{2, 4}, []float64{1}); got != 3 {
		t.Errorf("3 to 1 is %g", got)
	}
}

var zero float64

func TestStampedeIsRead(t *testing.T) {
	s := samples{table: stampede.Name}
	must(t, readStampede("goos: linux\nBenchmarkStampede/10-2   1   15.85 msgs/claim   6.5 p50-ms   11.9 p99-ms\nPASS\n", &s))
	want := []Series{
		{stampede.Name, "to the lease, median", byAgents.name, 10, "ms", []float64{6.5}},
		{stampede.Name, "to the lease, of 99 in 100", byAgents.name, 10, "ms", []float64{11.9}},
		{stampede.Name, "claims and answers for it", byAgents.name, 10, "messages", []float64{15.85}},
	}
	if diff := cmp.Diff(want, s.series); diff != "" {
		t.Error(diff)
	}
	if err := readStampede("PASS\n", &s); err == nil {
		t.Error("no results are no error")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
