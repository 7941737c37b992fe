package docker

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// watched runs a Daemon until the test ends and returns when it listens.
func watched(t *testing.T, path string) *Daemon {
	t.Helper()
	d := New(Config{Path: path, StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		goleak.VerifyNone(t)
	})
	woken(t, d, "Run listens")
	return d
}

// woken waits for a signal, and until no other follows it closely.
func woken(t *testing.T, d *Daemon, why string) {
	t.Helper()
	select {
	case <-d.Changed():
	case <-time.After(5 * time.Second):
		t.Fatalf("no signal: %s", why)
	}
	for {
		select {
		case <-d.Changed():
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

func TestEveryWayToChangeTheFileWakes(t *testing.T) {
	root := t.TempDir()
	real, away := filepath.Join(root, "real"), filepath.Join(root, "away")
	path := filepath.Join(root, "etc", "docker", "daemon.json") // etc is a link to real, and docker may be one
	d := watched(t, path)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"its directory is reached by a link", func() error {
			if err := os.MkdirAll(filepath.Join(real, "docker"), 0o755); err != nil {
				return err
			}
			return os.Symlink("real", filepath.Join(root, "etc"))
		}},
		{"it is made", func() error { return os.WriteFile(path, []byte("{}"), 0o600) }},
		{"it is written in place", func() error { return os.WriteFile(path, []byte(`{"a":1}`), 0o600) }},
		{"it is replaced as editors do", func() error {
			if err := os.WriteFile(path+"~", []byte(`{"a":2}`), 0o600); err != nil {
				return err
			}
			return os.Rename(path+"~", path)
		}},
		{"and written again", func() error { return os.WriteFile(path, []byte(`{"a":3}`), 0o600) }},
		{"it becomes a link", func() error {
			if err := os.MkdirAll(away, 0o755); err != nil {
				return err
			}
			if err := os.Rename(path, filepath.Join(away, "d.json")); err != nil {
				return err
			}
			return os.Symlink("../../away/d.json", path)
		}},
		{"what it leads to is replaced", func() error {
			if err := os.WriteFile(filepath.Join(away, "new"), nil, 0o600); err != nil {
				return err
			}
			return os.Rename(filepath.Join(away, "new"), filepath.Join(away, "d.json"))
		}},
		{"it is removed", func() error { return os.Remove(path) }},
		{"its directory goes", func() error { return os.RemoveAll(filepath.Join(real, "docker")) }},
		{"its directory is made anew", func() error { return os.MkdirAll(filepath.Join(real, "docker"), 0o755) }},
		{"and it in that", func() error { return os.WriteFile(path, []byte("{}"), 0o600) }},
		{"its directory's parent is moved away", func() error { return os.Rename(real, real+".old") }},
		{"and another put there", func() error { return os.MkdirAll(filepath.Join(real, "docker"), 0o755) }},
		{"with the file", func() error { return os.WriteFile(path, []byte("{}"), 0o600) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		woken(t, d, step.what)
	}
}

func TestWhatLiesBesideTheFileDoesNotWake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	d := watched(t, path)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "key.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.Changed():
		t.Error("a file of others wakes the loop")
	case <-time.After(200 * time.Millisecond):
	}
}

func TestWithoutAWatchItGoesOnAndSaysSoOnce(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := New(Config{Path: filepath.Join(loop, "daemon.json"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := strings.Count(log.String(), "not noticed at once"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
}

func TestTheWayFollowsLinks(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(names ...string) string { return filepath.Join(append([]string{root}, names...)...) }
	for _, link := range [][2]string{{"b/../c", "a"}, {at("d"), "c"}} {
		if err := os.Symlink(link[0], at(link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(at("b"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := pathEntries(at("a", "x", "y"))
	want := []string{at("a"), at("b"), at("c"), at("d")}
	if err != nil || !slices.Equal(got[max(0, len(got)-len(want)):], want) {
		t.Errorf("the way is %s, %v; want its end to be %s", got, err, want)
	}
}
