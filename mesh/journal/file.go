package journal

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

	"github.com/gremesh/gremesh/mesh/regular"
	"github.com/gremesh/gremesh/mesh/state"
)

const (
	// Name is the name of the file in the state directory.
	Name = "history.jsonl"
	// Keep is the number of changes that the journal keeps.
	Keep = 1000
	// most is the number of lines at which the file is rewritten with only the
	// newest Keep changes.
	most = 2 * Keep
)

// File appends to the journal of a host.
type File struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	lines   int  // in the file; the file has more lines after a failed rewrite
	counted bool // lines is known
	failed  bool // the last append failed
}

// New returns the journal in the state directory dir. The directory must exist
// before the first Append. New itself does no I/O.
func New(dir string, log *slog.Logger) *File {
	return &File{path: filepath.Join(dir, Name), log: log}
}

// Read returns the last changes, oldest first, at most Keep. If the file does
// not exist, it returns an empty list and no error.
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

// Append writes changes, oldest first, in one write. Changes that cannot be
// written are lost. Append logs the first of several consecutive failures.
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
		if last[0] != '\n' { // an agent was killed while it wrote the last line
			lines = append([]byte("\n"), lines...)
		}
	}
	n, err := file.Write(lines)
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	f.lines += bytes.Count(lines[:whole], []byte("\n"))
	if err != nil {
		return errors.Join(err, file.Truncate(size+int64(whole))) // removes a half-written line
	}
	if f.lines >= most {
		return f.rewrite()
	}
	return nil
}

// rewrite replaces the whole file with the newest Keep changes.
func (f *File) rewrite() error {
	f.lines = Keep // a failed rewrite is repeated after Keep more lines
	b, err := regular.Read(f.path)
	if err != nil {
		return err
	}
	kept, err := lines(Newest(parse(b), Keep))
	if err != nil {
		return err
	}
	return state.Write(f.path, kept)
}
