package bench

import (
	"os"
	"os/exec"
	"testing"
)

// The figures are for people; that all of it runs is for the test.
func TestAnAgentAtRestIsMeasured(t *testing.T) {
	if _, err := exec.LookPath("ovsdb-server"); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI lacks root or Open vSwitch")
		}
		t.Skip("needs root and Open vSwitch")
	}
	all, err := Rest(t.Context(), []int{5}, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Logf("%s: %.3f %s", s.Measure, s.Samples, s.Unit)
	}
	if len(all) == 0 {
		t.Error("nothing was measured")
	}
}
