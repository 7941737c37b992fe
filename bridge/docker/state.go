package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gremesh/gremesh/bridge/process"
	"github.com/gremesh/gremesh/mesh/regular"
)

// Files in the state directory.
const (
	stateFile  = "docker.json"
	backupFile = "daemon.json.before" // what was there before our first write
)

// state is what must outlive the agent.
type state struct {
	// Former is what our first write replaced; it is never overwritten.
	Former *former `json:"former,omitempty"`
	// Written is what we have written of our keys last; a key that is not set
	// there was as it should be already.
	Written Values `json:"written"`
	// Interim is the bip that was written for dockerd's next start only.
	Interim string `json:"interim,omitempty"`
	// Old are the dockerds that ran during our last write and had started with
	// other values.
	Old []process.Process `json:"old,omitempty"`
	// Back says that our last write put back what was there before gremesh.
	Back bool `json:"back,omitempty"`
	// Behind are those of which only the MTU was another one.
	Behind []behind `json:"behind,omitempty"`
	// Unread are those of them, and others, that had started without
	// "allow-direct-routing" when it was written.
	Unread []process.Process `json:"unread,omitempty"`
	// Unmarked are the same of "bridge-accept-fwmark".
	Unmarked []process.Process `json:"unmarked,omitempty"`
	// Read are those that had started with it when it was taken out.
	Read []process.Process `json:"read,omitempty"`
}

// behind is a dockerd that was started with another MTU.
type behind struct {
	process.Process
	MTU int `json:"mtu"` // bytes; 0: it was not set
}

// noteDirect notes which dockerds will not have read "allow-direct-routing" as
// it is about to be written, or taken out.
func (s *state) noteDirect(in bool, running []process.Process, seen map[process.Process]Values) {
	s.Read, s.Unread = nil, nil
	for _, p := range running {
		switch read := seen[p].Direct == "true"; {
		case in && !read:
			s.Unread = append(s.Unread, p)
		case !in && read:
			s.Read = append(s.Read, p)
		}
	}
}

// former is daemon.json as it was before our first write.
type former struct {
	Path    string `json:"path"`
	Existed bool   `json:"existed"`
	MadeDir bool   `json:"made_dir,omitempty"` // its directory did not exist either
	Values
}

func (d *Daemon) load() (state, error) {
	path := filepath.Join(d.cfg.StateDir, stateFile)
	b, err := regular.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("read state %s: %w", path, err)
	}
	return s, nil
}

func (d *Daemon) store(s state) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return d.keep(stateFile, append(b, '\n'))
}

// keep writes a file of the state directory, readable by its owner only.
func (d *Daemon) keep(name string, b []byte) error {
	if err := os.MkdirAll(d.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	return write(filepath.Join(d.cfg.StateDir, name), b, 0o600, nil)
}

// StateFiles are the names of what is kept in the state directory.
func StateFiles() []string { return []string{stateFile, backupFile} }
