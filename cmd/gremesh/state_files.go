package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/history"
	"github.com/gremesh/gremesh/ovsdb"
)

// stateFiles are all that gremesh keeps in its state directory. What a second
// run needs most goes last.
func stateFiles() []string {
	files := append([]string{history.Name}, gossip.StateFiles()...)
	files = append(files, docker.StateFiles()...)
	return append(files, dockerRanFile, ovsdb.StateFile, bridge.StateFile, "lock")
}

const dockerRanFile = "dockerd.boot"

// dockerRan is the mark of a dockerd that has run since this host's boot.
func dockerRan(stateDir string) process.BootMark {
	return process.NewBootMark(filepath.Join(stateDir, dockerRanFile))
}

// hasState tells whether there is something of it, or may be: who is not root
// can't see.
func hasState(dir string) bool {
	return slices.ContainsFunc(stateFiles(), func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// removeState takes away what gremesh keeps, with what a crash has left of a
// file that was being written, and the directories that are empty then. left is
// a directory in which there is something else.
func removeState(cfg Config) (left string, err error) {
	var errs []error
	remove := func(path string) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, name := range stateFiles() {
		unfinished, _ := filepath.Glob(filepath.Join(cfg.StateDir, "."+name+"[0-9]*")) // the pattern is well formed
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
		remove(cfg.Control) // left by an agent that was killed
	}
	if cfg.Control == defaults()["control"] {
		_ = os.Remove(filepath.Dir(cfg.Control)) // refused unless it is empty
	}
	return left, errors.Join(errs...)
}
