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

	"github.com/gremesh/gremesh/bridge/procs"
	"github.com/gremesh/gremesh/mesh/regular"
)

// Config describes where Docker's configuration is and how to restart Docker.
type Config struct {
	Path     string   // daemon.json, such as "/etc/docker/daemon.json"
	Restart  []string // command and arguments; nil: gremesh never restarts Docker
	StateDir string   // created if missing
	Socket   string   // the socket of Docker's API: "unix:///var/run/docker.sock"
	Direct   bool     // find out whether Docker lets packets through that arrive without a tunnel
	// Wrote reports whether gremesh's history says that gremesh set an object,
	// such as "daemon.json bip", to a value. It is nil if there is no history.
	Wrote func(object, value string) bool
	Log   *slog.Logger
}

// Daemon observes dockerd and manages its configuration file.
type Daemon struct {
	cfg    Config
	engine *engine
	asked  asked
	// seen maps each running dockerd to the values that it started with.
	seen     map[procs.Process]Values
	versions map[program]release
	judged   map[judgedFile]*Trouble
	spared   bool          // the use of the state's copy was logged
	changed  chan struct{} // capacity 1
	appeared chan struct{} // capacity 1: Observe found a dockerd that answers
}

// New returns a Daemon. It connects to nothing and changes nothing.
func New(cfg Config) *Daemon {
	return &Daemon{
		cfg: cfg, engine: newEngine(cfg.Socket), versions: make(map[program]release), judged: make(map[judgedFile]*Trouble),
		changed: make(chan struct{}, 1), appeared: make(chan struct{}, 1),
	}
}

// Bip returns the key bip as daemon.json has it. It returns an empty string if
// the key is not set. It does not look for a dockerd.
func (d *Daemon) Bip() (string, error) {
	f, err := d.parsed()
	if err != nil {
		return "", err
	}
	return f.settings().Bip, nil
}

// defaultMTU is dockerd's default MTU in bytes (dockerd(8), --mtu).
const defaultMTU = 1500

// Apply writes the changed keys to daemon.json. Without changes it stores a
// record that was lost (State.Unrecorded). Before its first write it stores a
// copy of daemon.json and the original values of its keys in the state
// directory.
//
// If another program changes the file meanwhile, Apply leaves the file
// unchanged and returns an error. After any other error before the write, the
// file is unchanged, too. The last step runs after the write: it records
// dockerds that started meanwhile. If it fails, Apply returns an error although
// the file has the new content.
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
	// If another program removed gremesh's values, a dockerd that was seen
	// before has started with them: compare does not record it. The removal of
	// an interim bip needs no restart, so compare is skipped.
	if !back || s.TransitionalBip == "" {
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
	// Store the state before the file is written. After a crash between the
	// two, gremesh may restart Docker once too often. In the other order, a
	// necessary restart could be missed.
	if err := d.store(s); err != nil {
		return err
	}
	if back && len(is) == 0 && !s.Former.Existed {
		if err := (original{was, existed}).unchanged(d.cfg.Path); err != nil {
			return fmt.Errorf("remove Docker's configuration: %w", err)
		}
		return d.remove(s.Former.MadeDir)
	}
	if err := d.replace(is, original{was, existed}); err != nil {
		return err
	}

	// A dockerd that started meanwhile may have read the old file or the new
	// one. Record it as one that has read the old file.
	after, err := dockerds()
	if err != nil {
		return err
	}
	started := slices.DeleteFunc(after, func(p procs.Process) bool { return slices.Contains(before, p) })
	if len(started) == 0 {
		return nil
	}
	s.Old, s.StartedWithoutDirect, s.Unmarked = append(s.Old, started...), append(s.StartedWithoutDirect, started...), append(s.Unmarked, started...)
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

// read returns the content of daemon.json and whether the file exists. A
// missing file is not an error.
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
	return write(path, b, was)
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
