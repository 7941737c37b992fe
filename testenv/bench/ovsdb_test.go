package bench

import (
	"os"
	"strings"
	"testing"
)

func TestOVSDB(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	sizes := []int{100}
	if s := os.Getenv("BENCH_SIZES"); s != "" {
		sizes = nil
		for w := range strings.FieldsSeq(s) {
			n := 0
			for _, c := range w {
				n = 10*n + int(c-'0')
			}
			sizes = append(sizes, n)
		}
	}
	all, err := OVSDB(t.Context(), sizes, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Logf("%5d %-30s %-60s %8.4f %s", s.N, s.Way, s.Measure, s.Samples, s.Unit)
	}
}
