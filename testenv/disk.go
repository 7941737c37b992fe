package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ballast returns the path of the file that fills the disk of the agent's
// state.
func (h *Host) ballast() string { return h.path("state", "ballast") }

// fillDisk fills the disk of the agent's state. No agent may run. The first
// call gives the state its own small disk, which stays until the lab is
// removed.
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

// ownDisk mounts a small file system on the state folder, and copies the files
// of the state to it.
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
