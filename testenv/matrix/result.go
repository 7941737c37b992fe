package matrix

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// suiteResult is the result of a suite.
type suiteResult struct {
	passed, skipped int
	failures        []string // names of failed tests
	failed          bool     // the binary failed; it may have crashed without a failed test
	took            time.Duration
}

func (s suiteResult) String() string {
	text := fmt.Sprintf("%d passed", s.passed)
	if s.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", s.skipped)
	}
	switch {
	case len(s.failures) > 0:
		text += ", FAILED: " + strings.Join(s.failures, ", ")
	case s.failed:
		text += ", FAILED"
	}
	return text + fmt.Sprintf(" (%d s)", int(s.took.Seconds()))
}

// parseOutput counts the tests in the output of a test binary with -test.v. It
// does not count subtests, whose lines are indented.
func parseOutput(output string) suiteResult {
	var r suiteResult
	for line := range strings.Lines(output) {
		verdict, rest, _ := strings.Cut(strings.TrimPrefix(line, "--- "), ": ")
		if !strings.HasPrefix(line, "--- ") {
			continue
		}
		name, _, _ := strings.Cut(rest, " ")
		switch verdict {
		case "PASS":
			r.passed++
		case "SKIP":
			r.skipped++
		case "FAIL":
			r.failures = append(r.failures, strings.TrimSpace(name))
		}
	}
	return r
}

// withoutPasses returns the output without the lines that only report that a
// test runs or has passed.
func withoutPasses(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		text := strings.TrimLeft(line, " ")
		if !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- PASS") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// versions holds the versions in a cell, as its programs report them.
type versions struct {
	docker, containerd, ovs, iptables, nft string
}

// versionsScript prints the versions, one on each line.
const versionsScript = `dockerd --version; containerd --version; ovs-vswitchd --version | head -1; iptables --version; nft --version`

// parseVersions reads the output of versionsScript. A version that it does not
// find is empty.
func parseVersions(output string) versions {
	number := func(word string) string {
		for line := range strings.Lines(output) {
			if strings.Contains(line, word) {
				for _, field := range strings.Fields(line) {
					field = strings.Trim(strings.TrimPrefix(field, "v"), ",")
					if field != "" && '0' <= field[0] && field[0] <= '9' {
						return field
					}
				}
			}
		}
		return ""
	}
	return versions{
		docker:     number("Docker"),
		containerd: number("containerd"),
		ovs:        number("Open vSwitch"),
		iptables:   number("iptables"),
		nft:        number("nftables"),
	}
}

func (v versions) String() string {
	return fmt.Sprintf("Docker %s, containerd %s, Open vSwitch %s, iptables %s, nft %s",
		v.docker, v.containerd, v.ovs, v.iptables, v.nft)
}

// cellResult is the result of a cell.
type cellResult struct {
	cell     Cell
	versions versions
	suites   []suiteResult // in the order of the run's suites
}

func anyFailed(results []cellResult) bool {
	return slices.ContainsFunc(results, func(c cellResult) bool {
		return slices.ContainsFunc(c.suites, func(s suiteResult) bool { return s.failed })
	})
}

// table returns the results as a Markdown table with one row per cell.
func table(suites []Suite, results []cellResult) string {
	var b strings.Builder
	b.WriteString("| cell | Docker | Open vSwitch |")
	for _, s := range suites {
		b.WriteString(" " + s.Folder + " |")
	}
	b.WriteString("\n" + strings.Repeat("|---", 3+len(suites)) + "|\n")
	for _, c := range results {
		fmt.Fprintf(&b, "| %s | %s | %s |", c.cell.Name, c.versions.docker, c.versions.ovs)
		for _, s := range c.suites {
			fmt.Fprintf(&b, " %s |", s)
		}
		b.WriteString("\n")
	}
	return b.String()
}
