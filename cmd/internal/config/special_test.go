package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/journal"
)

// A named pipe that nobody writes to is in the place of a file: whoever reads
// it as one waits for ever.
func TestAPipeInThePlaceOfAFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	for name, read := range map[string]func(path string) error{
		"key":        func(path string) error { _, err := readKeys(path); return err },
		"env":        func(path string) error { _, err := readFlannelLease(path); return err },
		"state.json": func(string) error { _, err := gossip.Reserved(dir); return err },
		journal.Name: func(string) error { _, err := journal.Read(dir); return err },
		"ip-masq":    func(path string) error { return filter.OpenFile(path).State().Err },
		"daemon.json": func(path string) error {
			_, err := docker.New(docker.Config{Path: path, StateDir: dir, Log: slog.New(slog.DiscardHandler)}).Observe(t.Context())
			return err
		},
	} {
		path := filepath.Join(dir, name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(path); err == nil || !strings.Contains(err.Error(), "is no regular file") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
