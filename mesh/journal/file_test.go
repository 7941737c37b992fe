package journal

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func change(i int) Change {
	return Change{
		Time: time.Date(2026, 11, 21, 9, 30, 0, i, time.UTC), Object: fmt.Sprintf("port gre%d", i),
		Is: "gre to 192.168.248.140", Cause: "h2 joined", Seconds: 0.25,
	}
}

func numbered(from, to int) []Change {
	var all []Change
	for i := from; i <= to; i++ {
		all = append(all, change(i))
	}
	return all
}

func read(t *testing.T, dir string) []Change {
	t.Helper()
	all, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheLastThousandAreKeptOverRestarts(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	if got := read(t, dir); len(got) > 0 {
		t.Errorf("before the first: %v", got)
	}
	for i := 1; i <= 3; i++ {
		New(dir, log).Append(change(i))
	}
	if d := cmp.Diff(numbered(1, 3), read(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	f := New(dir, log)
	for i := 4; i <= 2500; i++ {
		f.Append(change(i))
	}
	if d := cmp.Diff(numbered(1501, 2500), read(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	b, err := os.ReadFile(filepath.Join(dir, Name))
	if lines := bytes.Count(b, []byte("\n")); err != nil || lines != 1500 { // of 2000 the 1000 newest, and 500
		t.Errorf("%d lines, %v", lines, err)
	}
	if info, err := os.Stat(filepath.Join(dir, Name)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestManyAreAddedInOneGo(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, slog.New(slog.DiscardHandler))
	f.Append()
	if _, err := os.Stat(filepath.Join(dir, Name)); err == nil {
		t.Error("nothing was changed, and there is a file")
	}
	f.Append(numbered(1, 900)...)
	f.Append(numbered(901, 1800)...)
	if d := cmp.Diff(numbered(801, 1800), read(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	f.Append(numbered(1801, 5000)...)
	if d := cmp.Diff(numbered(4001, 5000), read(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	b, err := os.ReadFile(filepath.Join(dir, Name))
	if lines := bytes.Count(b, []byte("\n")); err != nil || lines != Keep {
		t.Errorf("%d lines, %v", lines, err)
	}
}

func TestDamagedLinesAreSkippedAndHalfOfOneSpoilsNoOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, Name)
	New(dir, slog.New(slog.DiscardHandler)).Append(change(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := string(whole) + "\x00\x00\n[]\n{}\n\n" + `{"time":"yesterday","object":"x"}` + "\n" + string(whole[:len(whole)/2])
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	New(dir, slog.New(slog.DiscardHandler)).Append(change(2))
	if d := cmp.Diff(numbered(1, 2), read(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// A size limit stands for a disk that is full: it fails the write in its middle.
func TestAFullDiskIsAWarningAndWhatWasThereStays(t *testing.T) {
	t.Run("one at a time", func(t *testing.T) {
		fullDisk(t, func(f *File) {
			for i := 1; i <= 5; i++ {
				f.Append(change(i))
			}
		})
	})
	t.Run("in one go", func(t *testing.T) { fullDisk(t, func(f *File) { f.Append(numbered(1, 5)...) }) })
}

func fullDisk(t *testing.T, fill func(*File)) {
	t.Helper()
	if dir := os.Getenv("GREMESH_TEST_FULL"); dir != "" {
		limit := syscall.Rlimit{Cur: 300, Max: 300}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		fill(New(dir, slog.New(slog.NewTextHandler(&log, nil))))
		if n := strings.Count(log.String(), "cannot write the history"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		return
	}
	dir := t.TempDir()
	again(t, "GREMESH_TEST_FULL="+dir)
	if got := read(t, dir); len(got) != 1 && len(got) != 2 || got[0] != change(1) {
		t.Errorf("%v", got)
	}
	New(dir, slog.New(slog.DiscardHandler)).Append(change(9))
	if got := read(t, dir); got[len(got)-1] != change(9) {
		t.Errorf("%v", got)
	}
}

func TestItIsAppendedToFromManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	f := New(dir, slog.New(slog.DiscardHandler))
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() { f.Append(change(i + 1)) })
	}
	group.Wait()
	if n := len(read(t, dir)); n != 50 {
		t.Errorf("%d of 50", n)
	}
}

// again runs the test that calls it in a process of its own.
func again(t *testing.T, env string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// FuzzParse: what is read can be written, and is the same then.
func FuzzParse(f *testing.F) {
	line, err := change(1).line()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"time":"2026-11-21T09:30:00Z","object":"x","seconds":-1}` + "\n{\"object\""))
	f.Fuzz(func(t *testing.T, file []byte) {
		all := parse(file)
		if len(all) > bytes.Count(file, []byte("\n"))+1 {
			t.Errorf("%d changes", len(all))
		}
		for _, c := range all {
			line, err := c.line()
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			again := parse(line)
			if len(again) != 1 || !again[0].Time.Equal(c.Time) {
				t.Fatalf("%+v became %+v", c, again)
			}
			again[0].Time = c.Time
			if again[0] != c {
				t.Errorf("%+v became %+v", c, again[0])
			}
		}
	})
}
