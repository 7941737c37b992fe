package config

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAWrittenKeyIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteGossipKey(path); err != nil {
		t.Fatal(err)
	}
	keys, err := readKeys(path)
	if err != nil || len(keys) != 1 || len(keys[0]) != keySize {
		t.Errorf("got %d keys, error %v", len(keys), err)
	}
	before, _ := os.ReadFile(path)
	if err := WriteGossipKey(path); err == nil {
		t.Error("a file that exists was written to")
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the key has changed")
	}
}

func TestAKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(NewGossipKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readKeys(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: error is %v", mode, err)
		}
	}
}

func TestAKeyFileOfAnotherUserIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteGossipKey(path); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root to give a file away")
		}
		t.Skip("needs root to give a file away")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(path); err == nil || !strings.Contains(err.Error(), "chown root "+path) {
		t.Errorf("error is %v", err)
	}
}

// A part of a key would keep the next keygen from making the file.
func TestAFullDiskLeavesNoPartOfAKey(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs a disk to fill: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	path := filepath.Join(dir, "key")
	if err := WriteGossipKey(path); err == nil {
		t.Error("no error on a full disk")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
}

// FuzzKeys: whatever is in a key file, the keys have their size, and no error
// quotes a line.
func FuzzKeys(f *testing.F) {
	f.Add("# new\n" + NewGossipKey() + "\n\n")
	f.Add("secret!\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys(text)
		for _, key := range keys {
			if len(key) != keySize {
				t.Errorf("a key of %d bytes", len(key))
			}
		}
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and the error %v", len(keys), err)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); err != nil && len(line) > 20 && strings.Contains(err.Error(), line) {
				t.Errorf("the error quotes %q: %v", line, err)
			}
		}
	})
}

func TestKeysAreParsedLineByLine(t *testing.T) {
	first, second := NewGossipKey(), NewGossipKey()
	short := base64.StdEncoding.EncodeToString(make([]byte, 16))
	for _, c := range []struct {
		name, text string
		keys       int
		wrong      string
	}{
		{"one", first, 1, ""},
		{"two with a comment", "# new\n" + first + "\n\n  " + second + "\r\n", 2, ""},
		{"none", "# nothing\n", 0, "holds no key"},
		{"not base64", first + "\nsecret!\n", 0, "line 2 is not base64"},
		{"short", short, 0, "line 1 holds 16 bytes; a key has 32"},
	} {
		keys, err := parseKeys(c.text)
		if len(keys) != c.keys || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %d keys, error %v; want %d, %q", c.name, len(keys), err, c.keys, c.wrong)
		}
		if err != nil && strings.Contains(err.Error(), "secret!") {
			t.Errorf("%s: the error quotes the key: %v", c.name, err)
		}
	}
}

func TestAPrimaryKeyComesFirst(t *testing.T) {
	first := NewGossipKey()
	keys, err := parseKeys(first + "\n" + NewGossipKey())
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.StdEncoding.EncodeToString(keys[0]); got != first {
		t.Error("the first line is not the first key")
	}
}
