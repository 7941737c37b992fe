package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchAgain is the pause after a watch could not be set up.
const watchAgain = 30 * time.Second

// Changed receives a value when daemon.json, the running dockerd or its
// networks may have changed since the last value. gremesh's own changes count,
// too. The value does not say what changed: call Observe.
func (d *Daemon) Changed() <-chan struct{} { return d.changed }

// Run watches daemon.json and dockerd until ctx ends, and then returns nil. The
// file, its directory and the links to it may appear and disappear. If the
// kernel has no watch left (inotify(7), fs.inotify.max_user_watches), Run logs
// that once and tries again every 30 s.
func (d *Daemon) Run(ctx context.Context) error {
	var events sync.WaitGroup
	events.Go(func() { d.follow(ctx) })
	defer events.Wait()
	warned := false
	for ctx.Err() == nil {
		err := d.watch(ctx)
		if err == nil {
			warned = false
			continue
		}
		if !warned {
			d.cfg.Log.Warn("changes of Docker's configuration are not noticed at once", "path", d.cfg.Path, "err", err)
			warned = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
	return nil
}

// watch signals changes until an entry of the path to the file is created,
// removed or renamed. It then returns nil, and the caller sets up the watches
// again. This is necessary because a watch belongs to a directory and not to
// its name.
func (d *Daemon) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", d.cfg.Path, err)
	}
	defer func() { _ = w.Close() }()
	entries, err := pathEntries(d.cfg.Path)
	if err != nil {
		return fmt.Errorf("watch %s: %w", d.cfg.Path, err)
	}
	for _, entry := range entries {
		switch err := w.Add(filepath.Dir(entry)); {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err != nil:
			return fmt.Errorf("watch %s: %w", filepath.Dir(entry), err)
		}
	}
	if now, err := pathEntries(d.cfg.Path); err != nil || !slices.Equal(now, entries) {
		return err
	}
	d.signal()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.Events:
			switch {
			case !slices.Contains(entries, event.Name):
			case event.Has(fsnotify.Create), event.Has(fsnotify.Remove), event.Has(fsnotify.Rename):
				return nil
			case event.Has(fsnotify.Write):
				d.signal()
			}
		case err := <-w.Errors:
			d.cfg.Log.Debug("events of Docker's configuration were lost", "err", err)
			return nil
		}
	}
}

func (d *Daemon) signal() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// pathEntries lists every directory entry that path depends on, including links and
// their targets. It stops at the first entry that does not exist. The directory
// in each entry's name has no links.
func pathEntries(path string) ([]string, error) {
	var entries []string
	dir, links := "/", 0
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		entry := filepath.Join(dir, name)
		if !slices.Contains(entries, entry) {
			entries = append(entries, entry)
		}
		to, err := os.Readlink(entry)
		switch {
		case errors.Is(err, syscall.EINVAL): // not a link
			dir = entry
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return entries, nil
		case err != nil:
			return nil, err
		default:
			if links++; links > 40 { // the kernel's limit, path_resolution(7)
				return nil, &fs.PathError{Op: "follow", Path: path, Err: syscall.ELOOP}
			}
			if filepath.IsAbs(to) {
				dir = "/"
			}
			rest = append(strings.Split(to, "/"), rest...)
		}
	}
	return entries, nil
}
