package filter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/gremesh/gremesh/mesh/regular"
)

// File is a configuration file in the format of ip-masq-agent. A missing or
// empty file means the default. If the file is invalid, the last valid Config
// stays.
type File struct {
	path    string
	changed chan struct{}

	mu    sync.Mutex
	state FileState
}

// FileState is the result of the reads of a File.
type FileState struct {
	Config Config // the last valid one
	Read   bool   // there was a valid one; otherwise Config is the default
	Err    error  // the error in the file now; nil if there is none
}

// OpenFile reads the file at path. It starts nothing. State returns an error in
// the file.
func OpenFile(path string) *File {
	f := &File{path: path, changed: make(chan struct{}, 1)}
	f.read()
	return f
}

// Inline returns a File whose Config is always c.
func Inline(c Config) *File {
	return &File{state: FileState{Config: c, Read: true}}
}

// State returns the result of the last read.
func (f *File) State() FileState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Changed receives a value when a read had another result than the read before.
// Values that nobody received are merged into one. An Inline File sends none.
func (f *File) Changed() <-chan struct{} { return f.changed }

// read reads the file and signals if the result has changed.
func (f *File) read() {
	config, err := readFile(f.path)
	f.mu.Lock()
	before := f.state
	if f.state.Err = err; err == nil {
		f.state.Config, f.state.Read = config, true
	}
	same := reflect.DeepEqual(before, f.state)
	f.mu.Unlock()
	if same {
		return
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func readFile(path string) (Config, error) {
	text, err := regular.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("%w: make it readable for root", err)
	}
	config, err := Parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

// Run reads the file when its directory has been quiet for settle, because an
// editor empties a file before it writes the new content. Run waits at most
// patience after the first event. If the directory cannot be watched, Run reads
// the file every pollInterval.
const (
	settle       = 50 * time.Millisecond
	patience     = time.Second
	pollInterval = 2 * time.Second
)

// Run reads the file after each event in its directory, and every
// ResyncInterval, until ctx is done. It then returns nil. It watches the
// directory and not the file, because editors and ConfigMaps replace the file.
func (f *File) Run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil { // no inotify instance is left: read every blind
		watcher = &fsnotify.Watcher{}
	} else {
		defer watcher.Close() //nolint:errcheck // nothing was written
	}

	wake := time.NewTimer(0) // read changes since OpenFile
	defer wake.Stop()
	var first time.Time // the first event since the last read
	event := func() {
		if first.IsZero() {
			first = time.Now()
		}
		wake.Reset(min(settle, time.Until(first.Add(patience))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			event()
		case <-watcher.Errors: //nolint:errcheck // some events were lost
			event()
		case <-wake.C:
			first = time.Time{}
			// Add the watch each time, because the directory may have been
			// replaced. A second watch of the same directory has no effect.
			unwatched := err
			if err == nil {
				unwatched = watcher.Add(filepath.Dir(f.path))
			}
			f.read()
			next := f.State().Config.resync()
			if unwatched != nil {
				next = min(next, pollInterval)
			}
			wake.Reset(next)
		}
	}
}
