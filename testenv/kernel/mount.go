package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// tmpDir is the guest's TMPDIR. It is empty at first. It is not on the overlay,
// because Docker cannot put its own overlay on top of an overlay.
const tmpDir = "/run/tmp"

// mountAll mounts an overlay in memory over the machine's files, which are the
// root of the kernel at first. It then mounts the usual file systems of a
// machine.
func mountAll(j job) error {
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	release, err := insertOverlay(j.Modules)
	if err != nil {
		return err
	}
	const base = "/mnt" // every Debian has it
	if err := mount("tmpfs", base, "tmpfs", "mode=755,size=60%"); err != nil {
		return err
	}
	for _, dir := range []string{"/upper", "/work", "/root"} {
		if err := os.Mkdir(base+dir, 0o755); err != nil {
			return err
		}
	}
	err = mount("overlay", base+"/root", "overlay",
		fmt.Sprintf("lowerdir=/,upperdir=%[1]s/upper,workdir=%[1]s/work", base))
	if err != nil {
		return err
	}
	if err := changeRoot(base + "/root"); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", ""},
		{"tmpfs", "/run", "mode=755,size=60%"},
		{"tmpfs", tmpDir, "size=60%"},
	} {
		if err := mount(m.kind, m.at, m.kind, m.options); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+to, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/lib/modules", 0o755); err != nil {
		return err
	}
	// If the machine runs the same release, the folder already exists.
	err = os.Symlink(filepath.Join(j.Modules, release), filepath.Join("/lib/modules", release))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if j.Share == "" {
		return nil
	}
	return mount(shareTag, j.Share, j.ShareBy.Kind, j.ShareBy.Options)
}

// insertOverlay loads the overlay module, which is needed before modprobe
// works, unless the kernel has it already. It returns the kernel's release.
func insertOverlay(modules string) (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	release := unix.ByteSliceToString(name.Release[:])
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || strings.Contains(string(known), "\toverlay\n") {
		return release, err
	}
	return release, insert(filepath.Join(modules, release, "kernel/fs/overlayfs/overlay.ko"))
}

// changeRoot makes dir the root and detaches the old root.
func changeRoot(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	// pivot_root(2): "pivot_root(".", ".")".
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", dir, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return os.Chdir("/")
}

// mount mounts a file system on a folder. It creates the folder if necessary.
func mount(source, at, kind, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, at, err)
	}
	return nil
}
