package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ballast is the file that fills the disk with the agent's state.
func (h *Host) ballast() string { return h.path("state", "ballast") }

// fillDisk fills the disk that the agent's state is on, while no agent runs.
// The first time it gives the state a disk of its own, which stays with the lab.
func (h *Host) fillDisk() error {
	if err := h.ownDisk(); err != nil {
		return fmt.Errorf("%s: give the state a disk of its own: %w", h.Name, err)
	}
	f, err := os.Create(h.ballast())
	if err != nil {
		return err
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%s: fill the disk: %w", h.Name, err)
	} else {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (h *Host) freeDisk() error { return os.Remove(h.ballast()) }

// ownDisk mounts a small file system on the folder of the state, and has the
// same files in it.
func (h *Host) ownDisk() error {
	dir := h.path("state")
	var here, above syscall.Stat_t
	if err := errors.Join(syscall.Stat(dir, &here), syscall.Stat(h.Dir, &above)); err != nil {
		return err
	}
	if here.Dev != above.Dev {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := syscall.Mount("state", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
