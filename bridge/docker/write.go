package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// write replaces a file atomically and durably: either the old or the new
// content is there after a crash, and the new one once it has returned. Owner
// and mode stay; perm is a new file's. A file of others is left as it is, with
// errMeanwhile, if it is not as it was; nil: it is ours.
func write(path string, b []byte, perm fs.FileMode, was *original) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir),
		renameio.WithStaticPermissions(perm), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer func() {
		if left := f.Cleanup(); !errors.Is(left, fs.ErrNotExist) { // it has been given its name
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
	if was == nil {
		err = f.CloseAtomicallyReplace()
	} else if err = f.Sync(); err == nil {
		err = was.giveWay(f.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// target follows symbolic links to the file to replace, which need not exist:
// the links stay.
func target(path string) (string, error) {
	for range 40 { // as the kernel, path_resolution(7)
		dir, base := filepath.Split(path) // not Dir, which takes ".." for the parent of a link, not of what it leads to
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
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // EINVAL: no link
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
