package regular

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyARegularFileIsRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(at("file"), []byte("text"), 0o600))
	must(os.WriteFile(at("empty"), nil, 0o600))
	must(os.Symlink("file", at("link")))
	must(os.Symlink("/dev/zero", at("device")))
	must(os.Symlink("loop", at("loop")))
	must(unix.Mkfifo(at("pipe"), 0o600))
	socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", at("socket"))
	must(err)
	defer func() { _ = socket.Close() }()

	for name, want := range map[string]struct {
		text string
		err  error
	}{
		"file": {text: "text"}, "empty": {}, "link": {text: "text"},
		"none": {err: fs.ErrNotExist}, "loop": {err: unix.ELOOP}, "socket": {err: unix.ENXIO},
		"device": {err: ErrOther}, "pipe": {err: ErrOther}, ".": {err: ErrOther},
	} {
		b, err := Read(at(name))
		if string(b) != want.text || !errors.Is(err, want.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, b, err, want.text, want.err)
		}
	}
}
