package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFileIsReplacedWithItsMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "value.json")
	for _, want := range []int{1, 2} {
		if err := WriteJSON(path, want); err != nil {
			t.Fatal(err)
		}
		var got int
		if err := ReadJSON(path, &got); err != nil || got != want {
			t.Errorf("read %d, %v, want %d", got, err, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("the directory holds %v", left)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := ReadJSON(filepath.Join(dir, "none"), new(int)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	path := filepath.Join(dir, "value.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(path, new(int)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("garbage: %v", err)
	}
	if err := Write(filepath.Join(dir, "none", "value"), nil); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a missing directory: %v", err)
	}
	pipe := filepath.Join(dir, "pipe") // would block a plain read for ever
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(pipe, new(int)); err == nil {
		t.Error("a named pipe was read")
	}
}

func TestOnlyOneProcessLocksADirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) { // another open file is as good as another process
		t.Errorf("a second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Lock(dir)
	if err != nil {
		t.Fatalf("after the first was released: %v", err)
	}
	_ = second.Close()
}

func TestOriginalsOfAnEarlierVersionAreFound(t *testing.T) {
	dir := t.TempDir()
	o := Originals{dir}
	if all, err := o.Load(); err != nil || all != nil {
		t.Errorf("a new host has %v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "host.json"), []byte(`{"bridge": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := o.Load()
	if err != nil || string(all["kernel"]) != `{"bridge": {}}` || string(all["ovs"]) != "null" {
		t.Errorf("an earlier version's: %s, %v", all, err)
	}
	all["docker"] = json.RawMessage(`{"bip": ""}`)
	if err := o.Save(all); err != nil {
		t.Fatal(err)
	}
	if again, err := o.Load(); err != nil || len(again) != 3 {
		t.Errorf("saved and loaded: %s, %v", again, err)
	}
	if err := os.WriteFile(filepath.Join(dir, originalFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Load(); err == nil {
		t.Error("garbage is no error: the originals would be captured again, from a changed host")
	}
}
