package lease

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rule is one of the rules that the protocol's safety depends on.
type rule string

const (
	none          rule = ""
	majority      rule = "the majority"
	oneGrant      rule = "one grant per subnet"
	higherVersion rule = "the higher version wins"
	recall        rule = "a voter that has lost its promises is silent"
	consent       rule = "a majority agrees to a removal"
	handOver      rule = "those who agree to a removal hand over their tables"
	storedGrant   rule = "a grant is a stored record"
)

// missing is the rule that this test binary was built without. It is none,
// except in the runs that TestEachRuleIsNeeded starts.
var missing = rule(os.Getenv("LEASE_WITHOUT"))

// mutation removes a rule. It has the edits of the source that take the rule
// out, and the tests that must then find a violation.
type mutation struct {
	rule  rule
	edits []edit
	tests []string
}

// edit replaces a text that occurs once in a file.
type edit struct{ file, old, new string }

const (
	simulation = "TestTheSimulationFindsWhatAMissingRuleBreaks"
	edges      = "TestTheEdgesFindWhatAMissingRuleBreaks"
)

var mutations = []mutation{
	{majority, []edit{{"claim.go", "if granted > silent {", "if granted > silent || granted > 0 {"}}, []string{simulation}},
	{oneGrant, []edit{{"answer.go", "case r.Host == claim.Host, m.gone(r.Host):", "case true:"}}, []string{simulation}},
	{higherVersion, []edit{
		{"own_record.go", "m.sure && m.active && r.State != Forgotten && before.State == Held:", "false:"},
		{"table.go", "if ok && (old.Version >= r.Version || old == r) {", "if ok && old == r {"},
	}, []string{simulation}},
	{recall, []edit{
		{"claim.go", "if v == weighs && c.version[r.Host] != r.Version {", "if false {"},
		{"own_record.go", "m.lost = true", "m.lost = m.lost"},
		{"own_record.go", "return m.lost || !m.active }", "return false }"},
	}, []string{edges, "TestTwoLostStatesMakeNoSecondHolder"}},
	{consent, []edit{
		{"removal.go", "\tm.removal = &removal{votes:", "\tif true {\n\t\treturn m.forget(r).with(m.recount())\n\t}\n\tm.removal = &removal{votes:"},
	}, []string{edges, "TestForgettingOneAtATimeMakesNoSecondHolder"}},
	{handOver, []edit{
		{"removal.go", "if m.removal.final {\n\t\tmessage.Removal.Records", "if false {\n\t\tmessage.Removal.Records"},
		{"removal.go", "if !m.removal.final {\n\t\tm.removal.final = true", "if false {\n\t\tm.removal.final = true"},
		{"removal.go", "if consent.Why == NoObjection {\n\t\tconsent.Records", "if false {\n\t\tconsent.Records"},
	}, []string{"TestWhoAgreesToARemovalHandsItsPromisesOver"}},
	{storedGrant, []edit{{"answer.go", "if known, _ = m.table.Get(claimant); known != c.Record {", "if known, _ = m.table.Get(claimant); false {"}},
		[]string{"TestAGrantIsAStoredRecord"}},
}

// TestEachRuleIsNeeded takes one rule at a time out of a copy of the source. It
// builds the tests with that copy, and requires that they find a violation.
func TestEachRuleIsNeeded(t *testing.T) {
	if missing != none {
		t.Skip("a rule is missing already")
	}
	for _, m := range mutations {
		t.Run(string(m.rule), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay(t, m.edits), "-vet=off", "-count=1", "-v",
				"-run", "^("+strings.Join(m.tests, "|")+")$", ".")
			cmd.Env = append(os.Environ(), "LEASE_WITHOUT="+string(m.rule))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, test := range m.tests {
				if !strings.Contains(string(out), "--- PASS: "+test+" ") {
					t.Errorf("%s did not run:\n%s", test, out)
				}
			}
		})
	}
}

// overlay writes the edited files and returns the path of the overlay file that
// lists them (go help build).
func overlay(t *testing.T, edits []edit) string {
	t.Helper()
	dir, edited, replace := t.TempDir(), make(map[string]string), make(map[string]string)
	for _, e := range edits {
		text, ok := edited[e.file]
		if !ok {
			b, err := os.ReadFile(e.file)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			t.Fatalf("%s has %q %d times; adapt the edit to the source", e.file, e.old, n)
		}
		edited[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for file, text := range edited {
		from, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replace[from] = write(file, []byte(text))
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return write("overlay.json", b)
}

// wanted returns the value for the missing rule. It skips the test if the test
// is about other rules.
func wanted[T any](t *testing.T, byRule map[rule]T) T {
	t.Helper()
	want, ok := byRule[missing]
	if !ok {
		t.Skipf("says nothing about the rule %q", missing)
	}
	return want
}
