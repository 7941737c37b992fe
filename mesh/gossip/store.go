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

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/regular"
	"github.com/gremesh/gremesh/mesh/settings"
	"github.com/gremesh/gremesh/mesh/state"
)

// savedState is the part of a host's memory that must survive a restart. It holds
// the host's identity and the lease table, which contains the promises of this
// host.
type savedState struct {
	Host      lease.ID       `json:"host"`
	Mesh      string         `json:"mesh,omitempty"`
	Records   []lease.Record `json:"records"`
	Sightings sightings      `json:"sightings,omitempty"`
	// Settings is nil if an agent without a settings record wrote the state.
	Settings *settings.Record `json:"settings,omitempty"`
	// LeavePending becomes true when this host begins to leave. It becomes
	// false when this host has told its peers.
	LeavePending bool `json:"untold,omitempty"`

	damaged error // the reason why everything except Host is lost; nil: nothing is lost
}

// knowsNoPeers reports whether the state has no record of another host.
func (s savedState) knowsNoPeers() bool {
	for _, r := range s.Records {
		if r.Host != s.Host {
			return false
		}
	}
	return true
}

// store keeps a state in a directory. The ID has a file of its own, which is
// written only once. The ID therefore survives damage to the other file.
type store struct{ dir string }

func (s store) idFile() string    { return filepath.Join(s.dir, "id") }
func (s store) stateFile() string { return filepath.Join(s.dir, "state.json") }

// load reads the state. If the directory holds neither file, load creates a new
// identity and writes it to disk. If only the ID is readable, load sets damaged
// in the returned state. It then renames an unreadable state file to
// state.json.damaged.
func (s store) load() (savedState, error) {
	id, idErr := s.loadID()
	st, stErr := s.loadState()
	switch {
	case idErr == nil && stErr == nil && id != st.Host:
		return savedState{}, fmt.Errorf("%s says that this host is %s, and %s that it is %s: restore the one that is right",
			s.idFile(), id, s.stateFile(), st.Host)
	case stErr == nil && idErr == nil:
		return st, nil
	case stErr == nil: // the state also contains the ID
		return st, s.write(s.idFile(), []byte(st.Host.String()+"\n"))
	case idErr == nil:
		st = savedState{Host: id, damaged: stErr}
		if errors.Is(stErr, fs.ErrNotExist) {
			return st, nil
		}
		if err := os.Rename(s.stateFile(), s.stateFile()+".damaged"); err != nil {
			return savedState{}, fmt.Errorf("set the damaged state aside: %w", err)
		}
		return st, nil
	case errors.Is(idErr, fs.ErrNotExist) && errors.Is(stErr, fs.ErrNotExist):
		st = savedState{Host: newID()}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return savedState{}, fmt.Errorf("make the state directory: %w", err)
		}
		return st, s.create(st)
	}
	return savedState{}, fmt.Errorf("this host's identity can't be read: %w; restore state_dir from a backup, or remove both files to start as a new host",
		errors.Join(idErr, stErr))
}

// create writes the state of a new host to disk. It writes the state before the
// ID. With only an ID on disk, the host would conclude that it has lost its
// state.
func (s store) create(st savedState) error {
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

func (s store) loadState() (savedState, error) {
	data, err := regular.Read(s.stateFile())
	if err != nil {
		return savedState{}, err
	}
	st, err := decodeState(data)
	if err != nil {
		return savedState{}, fmt.Errorf("%s is damaged: %w", s.stateFile(), err)
	}
	return st, nil
}

// decodeState decodes a state and rejects one that no agent writes.
func decodeState(data []byte) (savedState, error) {
	var st savedState
	if err := json.Unmarshal(data, &st); err != nil {
		return savedState{}, err
	}
	if st.Host.IsZero() {
		return savedState{}, errors.New("it has no host ID")
	}
	if err := lease.ValidateAll(st.Records); err != nil {
		return savedState{}, err
	}
	if st.Settings != nil {
		if err := st.Settings.Validate(); err != nil {
			return savedState{}, err
		}
	}
	for id, one := range st.Sightings {
		if one == nil || one.Silent < 0 {
			return savedState{}, fmt.Errorf("its sighting of %s makes no sense", id)
		}
	}
	return st, nil
}

// newID returns a random ID for a host or a mesh.
func newID() lease.ID {
	var id lease.ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// save writes the state to disk. When it returns nil, the state survives a
// crash.
func (s store) save(st savedState) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the host's state: %w", err)
	}
	return s.write(s.stateFile(), data)
}

func (s store) write(file string, data []byte) error {
	if err := state.Write(file, data); err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	return nil
}

// ResetIdentity gives the host whose state is in dir a new identity. The new
// host knows the same mesh and holds no lease. The caller makes sure that no
// agent runs with this state.
func ResetIdentity(dir string) (old, fresh lease.ID, err error) {
	s := store{dir}
	_, idErr := os.Stat(s.idFile())
	_, stErr := os.Stat(s.stateFile()) // this file also has the ID; only it exists after an interrupted reset
	if idErr != nil && stErr != nil {
		return lease.ID{}, lease.ID{}, fmt.Errorf("there is no host's identity to reset in %s: %w", dir, idErr)
	}
	st, err := s.load()
	if err != nil {
		return lease.ID{}, lease.ID{}, err
	}
	old, st.Host, st.LeavePending = st.Host, newID(), false
	if err := os.Remove(s.idFile()); err != nil {
		return lease.ID{}, lease.ID{}, fmt.Errorf("remove the old identity: %w", err)
	}
	return old, st.Host, s.create(st)
}

// Reserved returns the subnet to which the host whose state is in dir has a
// right. A subnet that the host only claims counts too. Reserved returns the
// zero prefix if there is no such subnet or no state.
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
// whether it then released its subnet. Both are false if the state cannot be
// read.
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

// IsLeavePending reports whether the host whose state is in dir left its mesh
// without telling its peers. This happens if the agent was stopped in between.
// The peers then see the host as failed.
func IsLeavePending(dir string) bool {
	st, err := store{dir}.loadState()
	return err == nil && st.LeavePending
}

// StateFiles returns the names of the files in a host's state directory.
func StateFiles() []string { return []string{"state.json", "state.json.damaged", "id"} }
