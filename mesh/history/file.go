package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"github.com/gremesh/gremesh/mesh/regular"
)

const (
	// Name is the file in the state directory.
	Name = "history.jsonl"
	// Keep is how many changes are kept.
	Keep = 1000
	// most is how many lines the file has before it is written anew with those
	// that are kept.
	most = 2 * Keep
)

// File is the history of a host, to be added to.
type File struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	lines   int  // in the file; less where it could not be written anew
	counted bool // lines is known
	failed  bool // the last change could not be written
}

// New returns the history that is kept in a state directory, which must exist
// by the time of the first change. Nothing is touched.
func New(dir string, log *slog.Logger) *File {
	return &File{path: filepath.Join(dir, Name), log: log}
}

// Read returns the last changes, the oldest first, Keep at the most.
func Read(dir string) ([]Change, error) {
	b, err := regular.Read(filepath.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return []Change{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return Newest(parse(b), Keep), nil
}

// Append adds changes, the oldest first, all by one write. What can't be
// written is lost, and the first of a row of failures is logged.
func (f *File) Append(changes ...Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.append(Newest(changes, Keep))
	if err != nil && !f.failed {
		f.log.Warn("cannot write the history; changes are still applied", "err", err)
	}
	f.failed = err != nil
}

func (f *File) append(changes []Change) (err error) {
	lines, err := lines(changes)
	if err != nil || len(lines) == 0 {
		return err
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !f.counted {
		b, err := regular.Read(f.path)
		if err != nil {
			return err
		}
		f.lines, f.counted = bytes.Count(b, []byte("\n")), true
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if last := make([]byte, 1); size > 0 {
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // of an agent that was killed
			lines = append([]byte("\n"), lines...)
		}
	}
	n, err := file.Write(lines)
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	f.lines += bytes.Count(lines[:whole], []byte("\n"))
	if err != nil {
		return errors.Join(err, file.Truncate(size+int64(whole))) // no half of a line
	}
	if f.lines >= most {
		return f.rewrite()
	}
	return nil
}

// rewrite leaves the changes that are kept, and replaces the file as a whole.
func (f *File) rewrite() error {
	f.lines = Keep // where it fails, it is tried again when as many more have come
	b, err := regular.Read(f.path)
	if err != nil {
		return err
	}
	kept, err := lines(Newest(parse(b), Keep))
	if err != nil {
		return err
	}
	return renameio.WriteFile(f.path, kept, 0o600, renameio.WithTempDir(filepath.Dir(f.path)))
}
