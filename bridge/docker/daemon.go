package docker

import (
	"bytes"
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
	Socket   string   // where dockerd answers: "unix:///var/run/docker.sock"
	Direct   bool     // see whether Docker lets packets through that come without a tunnel
	// Wrote reports whether gremesh's history says that it set an object such as
	// "daemon.json bip" to a value; nil: there is no history.
	Wrote func(object, value string) bool
	Log   *slog.Logger
}

// Daemon is dockerd and its configuration file.
type Daemon struct {
	cfg    Config
	engine *engine
	asked  asked
	// seen are running dockerds, with what each has started with.
	seen     map[process.Process]Values
	versions map[program]release
	judged   map[judgedFile]*Trouble
	spared   bool          // it was logged that the state's copy is used
	changed  chan struct{} // capacity 1
	appeared chan struct{} // capacity 1: Observe has found a dockerd that answers
}

// New returns a Daemon; nothing is touched.
func New(cfg Config) *Daemon {
	return &Daemon{
		cfg: cfg, engine: newEngine(cfg.Socket), versions: make(map[program]release), judged: make(map[judgedFile]*Trouble),
		changed: make(chan struct{}, 1), appeared: make(chan struct{}, 1),
	}
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

// Apply writes the changed keys, and a record that was lost. Before its first write it keeps a copy of
// daemon.json and its keys' former values in the state directory. On an error
// the file is as it was, and so it is where another program changes it meanwhile.
func (d *Daemon) Apply(ctx context.Context, changes []Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(changes) == 0 {
		return d.record()
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
	if s, err = d.known(s, was); err != nil {
		return fmt.Errorf("%s: %w", d.cfg.Path, err)
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
	if !back {
		if err := d.writable(ctx, before, keys, is); err != nil {
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
	s.Back = back
	s.noteDirect(now.Direct == "true", before, d.seen)
	s.noteAccept(now.Accept, before, d.seen)
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
	s.Old, s.Unread, s.Unmarked = append(s.Old, started...), append(s.Unread, started...), append(s.Unmarked, started...)
	return d.store(s)
}

func (d *Daemon) parsed() (file, error) {
	b, _, err := d.read()
	if err != nil {
		return file{}, err
	}
	f, err := parse(b)
	if err != nil {
		return file{}, &Trouble{
			What: fmt.Sprintf("%s: %s; the file and Docker are left unchanged", d.cfg.Path, err),
			Do:   "correct " + d.cfg.Path + " (check it with: python3 -m json.tool " + d.cfg.Path + ")",
		}
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
