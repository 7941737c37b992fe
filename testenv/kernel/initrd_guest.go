package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// initrdEnv is set in the first process while it runs in the initial RAM disk.
// Its value is the path of the same program among the machine's files.
const initrdEnv = "TESTENV_KERNEL_SELF"

// leaveInitrd makes the machine's files the root and starts the program again
// from there. User-mode Linux starts it there at once. leaveInitrd returns only
// if it fails.
func leaveInitrd(self string) error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"devtmpfs", "/dev"}} {
		// The kernel may have mounted /dev itself.
		if err := mount(m.kind, m.at, m.kind, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	modules, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	slices.Sort(modules)
	for _, m := range modules {
		if err := insert(m); err != nil {
			return err
		}
	}
	if err := unix.Mount(rootTag, "/root", "9p", unix.MS_RDONLY, nineP+",cache=loose"); err != nil {
		return fmt.Errorf("mount the machine's files: %w", err)
	}
	// pivot_root(2) fails here, because the initial RAM disk cannot be
	// unmounted. See switch_root(8).
	if err := os.Chdir("/root"); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := os.Unsetenv(initrdEnv); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", self, unix.Exec(self, []string{self}, os.Environ()))
}

// insert loads a module from a file.
func insert(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("insert %s: %w", file, err)
	}
	return nil
}
