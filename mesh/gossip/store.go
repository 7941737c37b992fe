package gossip

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/regular"
	"github.com/gremesh/gremesh/mesh/settings"
)

// state is what a host must not forget: who it is, and the lease table with
// the promises that it made.
type state struct {
	Host      lease.ID       `json:"host"`
	Mesh      string         `json:"mesh,omitempty"`
	Records   []lease.Record `json:"records"`
	Sightings sightings      `json:"sightings,omitempty"`
	// Settings is nil in the state of an agent that had no record of them.
	Settings *settings.Record `json:"settings,omitempty"`
	// Untold is true while this host has left and may not have told its peers.
	Untold bool `json:"untold,omitempty"`

	damaged error // why all but Host is lost
}

// solitary reports whether no other host was ever heard of.
func (s state) solitary() bool {
	for _, r := range s.Records {
		if r.Host != s.Host {
			return false
		}
	}
	return true
}

// store keeps a state in a directory: the ID in a file of its own, which is
// written once and so survives what happens to the other.
type store struct{ dir string }

func (s store) idFile() string    { return filepath.Join(s.dir, "id") }
func (s store) stateFile() string { return filepath.Join(s.dir, "state.json") }

// load reads the state. A host that has none gets a new identity, which is
// durable before load returns. Of a host that has only its ID left, the state
// says so; what could not be read is kept beside it.
func (s store) load() (state, error) {
	id, idErr := s.loadID()
	st, stErr := s.loadState()
	switch {
	case idErr == nil && stErr == nil && id != st.Host:
		return state{}, fmt.Errorf("%s says that this host is %s, and %s that it is %s: restore the one that is right",
			s.idFile(), id, s.stateFile(), st.Host)
	case stErr == nil && idErr == nil:
		return st, nil
	case stErr == nil: // the state has the ID as well
		return st, s.write(s.idFile(), []byte(st.Host.String()+"\n"))
	case idErr == nil:
		st = state{Host: id, damaged: stErr}
		if errors.Is(stErr, fs.ErrNotExist) {
			return st, nil
		}
		if err := os.Rename(s.stateFile(), s.stateFile()+".damaged"); err != nil {
			return state{}, fmt.Errorf("set the damaged state aside: %w", err)
		}
		return st, nil
	case errors.Is(idErr, fs.ErrNotExist) && errors.Is(stErr, fs.ErrNotExist):
		st = state{Host: newID()}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return state{}, fmt.Errorf("make the state directory: %w", err)
		}
		return st, s.create(st)
	}
	return state{}, fmt.Errorf("this host's identity can't be read: %w; restore state_dir from a backup, or remove both files to start as a new host",
		errors.Join(idErr, stErr))
}

// create makes the state of a new host durable. The state comes first: with an
// ID alone the host would take itself for one that has lost its state.
func (s store) create(st state) error {
	if err := s.save(st); err != nil {
		return err
	}
	return s.write(s.idFile(), []byte(st.Host.String()+"\n"))
}

func (s store) loadID() (lease.ID, error) {
	data, err := regular.Read(s.idFile())
	if err != nil {
		return lease.ID{}, err
	}
	id, err := lease.ParseID(strings.TrimSpace(string(data)))
	if err != nil {
		return lease.ID{}, fmt.Errorf("%s is damaged: %w", s.idFile(), err)
	}
	return id, nil
}

func (s store) loadState() (state, error) {
	data, err := regular.Read(s.stateFile())
	if err != nil {
		return state{}, err
	}
	st, err := decodeState(data)
	if err != nil {
		return state{}, fmt.Errorf("%s is damaged: %w", s.stateFile(), err)
	}
	return st, nil
}

// decodeState refuses what no host writes.
func decodeState(data []byte) (state, error) {
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return state{}, err
	}
	if st.Host.IsZero() {
		return state{}, errors.New("it has no host ID")
	}
	if err := lease.ValidateAll(st.Records); err != nil {
		return state{}, err
	}
	if st.Settings != nil {
		if err := st.Settings.Validate(); err != nil {
			return state{}, err
		}
	}
	for id, one := range st.Sightings {
		if one == nil || one.Silent < 0 {
			return state{}, fmt.Errorf("its sighting of %s makes no sense", id)
		}
	}
	return st, nil
}

// newID is a random ID, of a host or of a mesh.
func newID() lease.ID {
	var id lease.ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// save makes the state durable: when it returns nil, a crash can't undo it.
func (s store) save(st state) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the host's state: %w", err)
	}
	return s.write(s.stateFile(), data)
}

func (s store) write(file string, data []byte) error {
	if err := renameio.WriteFile(file, data, 0o600, renameio.WithTempDir(s.dir)); err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	dir, err := os.Open(s.dir) // the rename is durable only with its directory
	if err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	return nil
}

// ResetIdentity makes the host whose state is in dir another one, which knows
// the same mesh and holds nothing. No agent may be running with that state.
func ResetIdentity(dir string) (old, fresh lease.ID, err error) {
	s := store{dir}
	_, idErr := os.Stat(s.idFile())
	_, stErr := os.Stat(s.stateFile()) // has it too, where an earlier reset was interrupted
	if idErr != nil && stErr != nil {
		return lease.ID{}, lease.ID{}, fmt.Errorf("there is no host's identity to reset in %s: %w", dir, idErr)
	}
	st, err := s.load()
	if err != nil {
		return lease.ID{}, lease.ID{}, err
	}
	old, st.Host = st.Host, newID()
	if err := os.Remove(s.idFile()); err != nil {
		return lease.ID{}, lease.ID{}, fmt.Errorf("remove the old identity: %w", err)
	}
	return old, st.Host, s.create(st)
}

// Reserved returns the subnet that the host whose state is in dir has a right
// to, be it that it only asks for it; zero: none, or the host has no state.
func Reserved(dir string) (netip.Prefix, error) {
	s := store{dir}
	st, err := s.loadState()
	if errors.Is(err, fs.ErrNotExist) {
		return netip.Prefix{}, nil
	}
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, r := range st.Records {
		if r.Host == st.Host && r.State != lease.Released && r.State != lease.Forgotten {
			return r.Subnet, nil
		}
	}
	return netip.Prefix{}, nil
}

// HasLeft reports whether the host whose state is in dir has left its mesh, and
// whether it has given up its subnet with that.
func HasLeft(dir string) (left, released bool) {
	st, err := store{dir}.loadState()
	if err != nil {
		return false, false
	}
	for _, r := range st.Records {
		if r.Host == st.Host {
			return r.State == lease.Left || r.State == lease.Released, r.State == lease.Released
		}
	}
	return false, false
}

// IsUntold reports whether the host whose state is in dir was ended after it left
// its mesh and before it had told its peers, which then see it as failed.
func IsUntold(dir string) bool {
	st, err := store{dir}.loadState()
	return err == nil && st.Untold
}

// StateFiles are the names of what a host keeps in its state directory.
func StateFiles() []string { return []string{"state.json", "state.json.damaged", "id"} }
