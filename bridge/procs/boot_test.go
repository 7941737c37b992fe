package procs

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBootMarkCountsUntilTheNextBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	is := func(want bool, m BootMark) {
		t.Helper()
		if set, err := m.IsSet(); err != nil || set != want {
			t.Errorf("the mark is %v, %v; want %v", set, err, want)
		}
	}
	first := NewBootMark(path)
	is(false, first)
	if err := first.Set(); err != nil {
		t.Fatal(err)
	}
	is(true, first)
	is(true, NewBootMark(path)) // of another process
	next := BootMark{path, func() (string, error) { return "another boot", nil }}
	is(false, next)
	if err := next.Set(); err != nil {
		t.Fatal(err)
	}
	is(true, next)
	is(false, first)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // half written
		t.Fatal(err)
	}
	is(false, first)
}
