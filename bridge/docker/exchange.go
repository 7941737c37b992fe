package docker

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errMeanwhile means that another program is writing the file. It does no harm:
// the next pass reads the new content and adds gremesh's keys to it.
var errMeanwhile = errors.New("another program is changing it; gremesh tries again")

// original is a file's content when gremesh read it.
type original struct {
	content []byte
	existed bool
}

// replaceIfUnchanged puts the file at from in the place of the file at path. It
// returns errMeanwhile, and leaves path unchanged, if that file has changed or
// another program has it open for writing. The file belongs to other programs,
// too, and they may save it at any moment.
//
// After an exchange, the replaced file is at from. replaceIfUnchanged compares
// it again and exchanges back if it had changed. A file system that cannot
// exchange files gets a plain rename, which can overwrite a change of that
// moment.
func (was original) replaceIfUnchanged(from, path string) error {
	if !was.existed {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
		switch {
		case errors.Is(err, fs.ErrExist):
			return errMeanwhile
		case unable(err):
			return os.Rename(from, path)
		}
		return err
	}
	if err := was.unchanged(path); err != nil {
		return err
	}
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	}
	switch err := exchange(); {
	case unable(err): // not all file systems can exchange files
		return os.Rename(from, path)
	case err != nil:
		return err
	}
	if err := was.unchanged(from); err != nil {
		return errors.Join(err, exchange())
	}
	return nil
}

// unchanged returns nil if the file at path is unchanged and no program has it open
// for writing. Otherwise it returns errMeanwhile. To detect a writer, it asks
// for a read lease. The kernel refuses that while the file is open for writing
// (fcntl(2), F_SETLEASE).
func (was original) unchanged(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errMeanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written, and the lease ends with it
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); errors.Is(err, unix.EAGAIN) {
		return errMeanwhile // where leases do not exist, writers cannot be detected
	}
	if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, was.content) {
		return errors.Join(errMeanwhile, err)
	}
	return nil
}

func unable(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) }
