package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh/regular"
)

// Config says where Docker's configuration is and how to restart Docker.
type Config struct {
	Path     string   // daemon.json: "/etc/docker/daemon.json"
	Restart  []string // command and arguments; nil: never
	StateDir string   // made when missing
	Direct   bool     // see whether Docker lets packets through that come without a tunnel
	Log      *slog.Logger
}

// Daemon is dockerd as far as its configuration file goes.
type Daemon struct {
	cfg Config
	// seen are running dockerds, with what each has started with.
	seen     map[process.Process]Values
	versions map[program]release
	changed  chan struct{} // capacity 1
}

// New returns a Daemon; nothing is touched.
func New(cfg Config) *Daemon {
	return &Daemon{cfg: cfg, changed: make(chan struct{}, 1), versions: make(map[program]release)}
}

// Observe reads daemon.json and looks for dockerd. A file that is missing or
// empty sets nothing; one that is malformed is an error that names the place.
func (d *Daemon) Observe(ctx context.Context) (Actual, error) {
	if err := ctx.Err(); err != nil {
		return Actual{}, err
	}
	running, err := dockerds()
	if err != nil {
		return Actual{}, err
	}
	f, err := d.parsed()
	if err != nil {
		return Actual{}, err
	}
	s, err := d.load()
	if err != nil {
		return Actual{}, err
	}
	have := Actual{Running: len(running) > 0, Written: s.Written, Interim: s.Interim}
	if s.Former != nil {
		have.Former = &s.Former.Values
	}
	now := f.settings()
	have.Bip, have.MTU, have.Direct = now.Bip, now.MTU, now.Direct
	have.Stale = slices.ContainsFunc(s.Old, func(p process.Process) bool { return slices.Contains(running, p) })
	for _, b := range s.Behind {
		if slices.Contains(running, b.Process) {
			have.Behind = cmp.Or(b.MTU, defaultMTU)
		}
	}
	if err := d.see(running, s, now); err != nil {
		return Actual{}, err
	}
	if d.cfg.Direct {
		j, err := d.judge(ctx, running, s.Unread, f)
		if err != nil {
			have.Obstacle = err.Error()
		} else {
			have.Obstacle, have.Takes, have.Refuses = j.obstacle(), j.takes(), j.refuses()
		}
	}
	return have, nil
}

// Bip is what daemon.json says of docker0's address, as written; empty: nothing.
// It looks for no dockerd.
func (d *Daemon) Bip() (string, error) {
	f, err := d.parsed()
	if err != nil {
		return "", err
	}
	return f.settings().Bip, nil
}

// defaultMTU is dockerd's own, in bytes (dockerd(8), --mtu).
const defaultMTU = 1500

// Apply writes the changed keys. Before its first write it keeps a copy of
// daemon.json and its keys' former values in the state directory. On an error
// the file is as it was, and so it is where another program changes it meanwhile.
func (d *Daemon) Apply(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var keys []key
	for _, c := range changes {
		keys = append(keys, c.key)
	}
	was, existed, err := d.read()
	if err != nil {
		return err
	}
	s, err := d.load()
	if err != nil {
		return err
	}
	back := changes[0].back
	is, err := merge(was, keys)
	if err == nil && back {
		is, err = d.putBack(was, is, s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.cfg.Path, err)
	}
	if bytes.Equal(was, is) {
		return nil
	}
	before, err := dockerds()
	if err != nil {
		return err
	}
	for _, p := range before {
		if err := conflict(p, keys); err != nil {
			return err
		}
	}
	f, err := parse(is)
	if err != nil {
		return fmt.Errorf("%s: %w", d.cfg.Path, err)
	}
	now := f.settings()
	// Where somebody else took out what we had written, a dockerd that was seen
	// before that has started with it.
	if !back || s.Interim == "" {
		d.compare(before, &s, now, back)
	}
	s.noteDirect(now.Direct == "true", before, d.seen)
	if s.Former == nil {
		if s.Former, err = d.backup(was, existed); err != nil {
			return err
		}
	}
	s.note(changes)
	// Recorded first, so that a crash in between costs a restart too many at
	// worst, not one too few.
	if err := d.store(s); err != nil {
		return err
	}
	if back && len(is) == 0 && !s.Former.Existed {
		if err := (original{was, existed}).still(d.cfg.Path); err != nil {
			return fmt.Errorf("remove Docker's configuration: %w", err)
		}
		return d.remove(s.Former.MadeDir)
	}
	if err := d.replace(is, original{was, existed}); err != nil {
		return err
	}

	// A dockerd that started meanwhile may have read either file.
	after, err := dockerds()
	if err != nil {
		return err
	}
	started := slices.DeleteFunc(after, func(p process.Process) bool { return slices.Contains(before, p) })
	if len(started) == 0 {
		return nil
	}
	s.Old, s.Unread = append(s.Old, started...), append(s.Unread, started...)
	return d.store(s)
}

func (d *Daemon) parsed() (file, error) {
	b, _, err := d.read()
	if err != nil {
		return file{}, err
	}
	f, err := parse(b)
	if err != nil {
		return file{}, fmt.Errorf("%s: %w", d.cfg.Path, err)
	}
	return f, nil
}

// read returns daemon.json, and whether it is there.
func (d *Daemon) read() ([]byte, bool, error) {
	b, err := regular.Read(d.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read Docker's configuration: %w", err)
	}
	return b, true, nil
}

func (d *Daemon) replace(b []byte, was original) error {
	path, err := target(d.cfg.Path)
	if err != nil {
		return fmt.Errorf("follow %s: %w", d.cfg.Path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make Docker's configuration directory: %w", err)
	}
	return write(path, b, 0o644, &was)
}

func (d *Daemon) backup(b []byte, existed bool) (*former, error) {
	f, err := parse(b)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(filepath.Dir(d.cfg.Path))
	made := errors.Is(err, fs.ErrNotExist)
	if existed {
		if err := d.keep(backupFile, b); err != nil {
			return nil, fmt.Errorf("back up %s: %w", d.cfg.Path, err)
		}
	}
	return &former{Path: d.cfg.Path, Existed: existed, MadeDir: made, Values: f.settings()}, nil
}
