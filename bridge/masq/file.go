package masq

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

// File is a configuration file of ip-masq-agent's kind. A missing or empty one
// is the default. A bad one changes nothing: the last good one stays.
type File struct {
	path    string
	changed chan struct{}

	mu    sync.Mutex
	state FileState
}

// FileState is what a File has said.
type FileState struct {
	Config Config // the last good one
	Read   bool   // there has been a good one; else Config is the default
	Err    error  // what is wrong with the file now; nil: nothing
}

// OpenFile reads the file at path; nothing is started. What is wrong with it is
// in State.
func OpenFile(path string) *File {
	f := &File{path: path, changed: make(chan struct{}, 1)}
	f.read()
	return f
}

// Inline is a File that says c for ever.
func Inline(c Config) *File {
	return &File{state: FileState{Config: c, Read: true}}
}

// State returns what the file said when it was read last.
func (f *File) State() FileState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Changed wakes whoever uses the State: the file was read again. Signals that
// nobody took are merged into one.
func (f *File) Changed() <-chan struct{} { return f.changed }

// read looks at the file, and signals when it says something else.
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

// The file is read when its directory was left alone for settle, for an editor
// empties a file before it writes it anew; but at the latest after patience.
// Without a directory to watch it is looked for every blind.
const (
	settle   = 50 * time.Millisecond
	patience = time.Second
	blind    = 2 * time.Second
)

// Run reads the file again whenever something happens in its directory, and
// every ResyncInterval, until ctx is done; it then returns nil. The directory
// is watched and not the file, for editors, and ConfigMaps, put another file in
// its place.
func (f *File) Run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil { // no inotify instance is left: it is looked at every blind, then
		watcher = &fsnotify.Watcher{}
	} else {
		defer watcher.Close() //nolint:errcheck // nothing was written
	}

	wake := time.NewTimer(0) // what was written since OpenFile
	defer wake.Stop()
	var first time.Time // of the events since the file was read
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
			// Again and again, for the directory may be another one by now; a
			// second watch of the same is none.
			unwatched := err
			if err == nil {
				unwatched = watcher.Add(filepath.Dir(f.path))
			}
			f.read()
			next := f.State().Config.resync()
			if unwatched != nil {
				next = min(next, blind)
			}
			wake.Reset(next)
		}
	}
}
