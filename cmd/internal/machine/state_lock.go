package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gremesh/gremesh/mesh/state"
)

// ErrRunning means that a running agent holds the lock of the state.
var ErrRunning = errors.New("another gremesh agent runs")

// LockState takes the lock of the state, so that only one agent at a time uses
// it. The lock ends when unlock is called or when the process ends. If another
// process has the lock, the error wraps ErrRunning.
func LockState(dir string) (unlock func(), err error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	file, err := state.Lock(dir)
	if errors.Is(err, state.ErrLocked) {
		return nil, fmt.Errorf("%w with state_dir %s; stop it first", ErrRunning, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// makePrivate creates a directory that only its owner may enter, and the
// directories above it. It does not change a directory that exists.
func makePrivate(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
