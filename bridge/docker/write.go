package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/gremesh/gremesh/mesh/state"
)

// write replaces a file that other programs write, too, atomically and durably.
// After a crash the file has either the old or the new content. After write has
// returned nil, it has the new content. Owner and mode stay; the mode of a new
// file is 0644.
//
// was is the content that gremesh read. If the file differs from it, write
// leaves the file unchanged and returns errMeanwhile.
func write(path string, b []byte, was original) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir),
		renameio.WithStaticPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer func() {
		// ErrNotExist: the rename has removed the temporary name.
		if left := f.Cleanup(); !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
	}()
	if old, err := os.Stat(path); err == nil {
		owner := old.Sys().(*syscall.Stat_t)
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := was.replaceIfUnchanged(f.Name(), path); err != nil {
		return err
	}
	return state.SyncDir(dir)
}

// target follows symbolic links and returns the file to replace. The links
// stay. The file need not exist.
func target(path string) (string, error) {
	for range 40 { // the kernel's limit, path_resolution(7)
		// Dir would resolve ".." by the parent of a link, not by the parent of
		// its target.
		dir, base := filepath.Split(path)
		if dir == "" {
			dir = "."
		}
		dir, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, base)
		to, err := os.Readlink(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // EINVAL: not a link
			return path, nil
		case err != nil:
			return "", err
		case filepath.IsAbs(to):
			path = to
		default:
			path = dir + "/" + to
		}
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}
