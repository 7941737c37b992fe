package procs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/gremesh/gremesh/mesh/regular"
	"github.com/gremesh/gremesh/mesh/state"
)

// bootIDFile holds a number that changes with each boot (random(4)).
// It stays the same until the next boot.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// bootID returns the ID of the current boot.
func bootID() (string, error) {
	b, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "", fmt.Errorf("read the boot ID: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// BootMark is a file that records that an event happened since this host's last
// boot. It survives a restart of the agent and is valid until the next boot.
type BootMark struct {
	path   string
	bootID func() (string, error)
}

// NewBootMark returns the mark in the file at path. It neither reads nor writes
// the file.
func NewBootMark(path string) BootMark { return BootMark{path, bootID} }

// IsSet reports whether Set was called since the last boot. A missing file means
// that it was not, and is not an error.
func (m BootMark) IsSet() (bool, error) {
	b, err := regular.Read(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read a mark of this boot: %w", err)
	}
	now, err := m.bootID()
	return err == nil && strings.TrimSpace(string(b)) == now, err
}

// Set sets the mark until the next boot. The directory of the file must exist.
func (m BootMark) Set() error {
	now, err := m.bootID()
	if err != nil {
		return err
	}
	if err := state.Write(m.path, []byte(now+"\n")); err != nil {
		return fmt.Errorf("write a mark of this boot: %w", err)
	}
	return nil
}
