package docker

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errMeanwhile is no harm: what another program has just written is read, and
// gets our keys, the next time.
var errMeanwhile = errors.New("another program is changing it; gremesh tries again")

// original is what a file had when it was read.
type original struct {
	content []byte
	existed bool
}

// giveWay puts the file at from in the place of the one at path, unless that
// is no longer as it was, or is being written: it is another's, who may save it
// at any moment. Otherwise what was there is at from then.
func (was original) giveWay(from, path string) error {
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
	if err := was.still(path); err != nil {
		return err
	}
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
	}
	switch err := exchange(); {
	case unable(err): // not all file systems have it
		return os.Rename(from, path)
	case err != nil:
		return err
	}
	if err := was.still(from); err != nil {
		return errors.Join(err, exchange())
	}
	return nil
}

// still tells whether a file is as it was, and nobody has it open to write: there
// can be a lease for reading then (fcntl(2), F_SETLEASE).
func (was original) still(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errMeanwhile
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written, and the lease ends with it
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); errors.Is(err, unix.EAGAIN) {
		return errMeanwhile // where there are no leases it can't be known
	}
	if is, err := os.ReadFile(path); err != nil || !bytes.Equal(is, was.content) {
		return errors.Join(errMeanwhile, err)
	}
	return nil
}

func unable(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) }
