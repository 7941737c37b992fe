package filter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// follow runs the file until the test ends.
func follow(t *testing.T, f *File) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// becomes waits until the file says it.
func becomes(t *testing.T, f *File, what string, is func(FileState) bool) {
	t.Helper()
	late := time.After(5 * time.Second)
	for !is(f.State()) {
		select {
		case <-f.Changed():
		case <-late:
			t.Fatalf("not within 5 s: %s; it is %+v", what, f.State())
		}
	}
}

func TestABadFileIsReportedAndTheLastGoodOneStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "ip-masq-agent")
	f := OpenFile(path)
	if s := f.State(); s.Err != nil || !s.Read || s.Config.NonMasqueradeCIDRs != nil {
		t.Fatalf("a missing file is not the default: %+v", s)
	}
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good := prefixes("10.0.0.0/8")
	isGood := func(s FileState) bool { return cmp.Equal(s.Config.NonMasqueradeCIDRs, good, byValue) }

	write("nonMasqueradeCIDRs: [10.0.0.0/8]")
	follow(t, f)
	becomes(t, f, "it is read", func(s FileState) bool { return isGood(s) && s.Err == nil })

	write("nonMasqueradeCIDRs: [10.0.0.0/8\nmasq")
	becomes(t, f, "it is bad", func(s FileState) bool {
		return isGood(s) && s.Err != nil && strings.HasPrefix(s.Err.Error(), path+": ")
	})
	write("nonMasqueradeCIDRs: [10.0.0.1/8]")
	becomes(t, f, "it is bad in another way", func(s FileState) bool {
		return isGood(s) && s.Err != nil && strings.HasSuffix(s.Err.Error(), "write 10.0.0.0/8, or a longer length")
	})
	good = prefixes("10.0.0.0/9")
	write("nonMasqueradeCIDRs: [10.0.0.0/9]")
	becomes(t, f, "it is good again", func(s FileState) bool { return isGood(s) && s.Err == nil })

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	becomes(t, f, "it is gone, so the default", func(s FileState) bool { return s.Config.NonMasqueradeCIDRs == nil && s.Err == nil })
}

func TestAFileThatWasNeverGoodSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ip-masq-agent")
	if err := os.WriteFile(path, []byte("- no"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := OpenFile(path).State(); s.Read || s.Err == nil {
		t.Errorf("it is %+v", s)
	}
}

// TestAConfigMapIsFollowed: the file is a link into a folder that another link
// leads to, and only that link changes.
func TestAConfigMapIsFollowed(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "ip-masq-agent"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(dir, "..data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data.new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "masqLinkLocal: true")
	path := filepath.Join(dir, "ip-masq-agent")
	if err := os.Symlink("..data/ip-masq-agent", path); err != nil {
		t.Fatal(err)
	}
	f := OpenFile(path)
	follow(t, f)
	version("..2", "masqLinkLocal: false")
	becomes(t, f, "the new one is read", func(s FileState) bool { return s.Config.KeepLinkLocal })
}

// TestAnotherFolderInItsPlaceIsNoticed: no watch is on it.
func TestAnotherFolderInItsPlaceIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "ip-masq-agent")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("resyncInterval: 1s"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := OpenFile(path)
	follow(t, f)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{resyncInterval: 1s, masqLinkLocal: false}"), 0o644); err != nil {
		t.Fatal(err)
	}
	becomes(t, f, "it is read again", func(s FileState) bool { return s.Config.KeepLinkLocal })
}
