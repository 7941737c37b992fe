package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/procs"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// stateFiles names all files that gremesh keeps in its state directory, in the
// order of their removal. The files that a second run needs most come last.
func stateFiles() []string {
	files := append([]string{journal.Name}, gossip.StateFiles()...)
	files = append(files, docker.StateFiles()...)
	return append(files, dockerRanFile, ovsdb.StateFile, bridge.StateFile, "lock")
}

const dockerRanFile = "dockerd.boot"

// DockerRan returns the mark that records whether dockerd has run since this
// host's boot.
func DockerRan(stateDir string) procs.BootMark {
	return procs.NewBootMark(filepath.Join(stateDir, dockerRanFile))
}

// HasState reports whether the directory holds gremesh state. If it cannot
// tell, for example because the caller is not root, it returns true.
func HasState(dir string) bool {
	return slices.ContainsFunc(stateFiles(), func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// RemoveState removes the state files, unfinished copies of them after a crash,
// and a leftover control socket. It then removes the directories that are
// empty. left is the state directory if other files remain in it.
func RemoveState(cfg config.Config) (left string, err error) {
	var errs []error
	remove := func(path string) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, name := range stateFiles() {
		// This cannot fail because the pattern is well formed.
		unfinished, _ := filepath.Glob(filepath.Join(cfg.StateDir, "."+name+"[0-9]*"))
		for _, path := range append(unfinished, filepath.Join(cfg.StateDir, name)) {
			remove(path)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("remove the state: %w", err)
	}
	if err := os.Remove(cfg.StateDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		left = cfg.StateDir
	}
	if info, err := os.Lstat(cfg.Control); err == nil && info.Mode()&fs.ModeSocket != 0 {
		remove(cfg.Control) // leftover of an agent that was killed
	}
	if cfg.Control == config.DefaultControl {
		_ = os.Remove(filepath.Dir(cfg.Control)) // fails unless the directory is empty
	}
	return left, errors.Join(errs...)
}
