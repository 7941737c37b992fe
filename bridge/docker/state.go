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
	copyFile   = "docker.json.copy"   // used if stateFile is missing or damaged
	backupFile = "daemon.json.before" // what was there before our first write
)

// state is what must outlive the agent.
type state struct {
	// Former is what our first write replaced; it is never overwritten.
	Former *former `json:"former,omitempty"`
	// Lost are the keys of which Former does not know the value, because the record
	// was lost: known had to make another one.
	Lost []string `json:"lost,omitempty"`
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

// load returns the state. If its file is missing or damaged, the copy counts.
func (d *Daemon) load() (state, error) {
	s, err := d.loadFrom(stateFile)
	if err == nil {
		return s, nil
	}
	spare, spareErr := d.loadFrom(copyFile)
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case spareErr == nil:
		if !d.spared {
			d.spared = true
			d.cfg.Log.Warn("the record of daemon.json cannot be read; its copy is used", "copy", copyFile, "err", err)
		}
		return spare, nil
	case missing && errors.Is(spareErr, fs.ErrNotExist):
		return state{}, nil
	case missing:
		return state{}, spareErr
	}
	return state{}, err
}

func (d *Daemon) loadFrom(name string) (state, error) {
	path := filepath.Join(d.cfg.StateDir, name)
	b, err := regular.Read(path)
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
	b = append(b, '\n')
	return errors.Join(d.keep(stateFile, b), d.keep(copyFile, b))
}

// keep writes a file of the state directory, readable by its owner only.
func (d *Daemon) keep(name string, b []byte) error {
	if err := os.MkdirAll(d.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	return write(filepath.Join(d.cfg.StateDir, name), b, 0o600, nil)
}

// StateFiles are the names of what is kept in the state directory.
func StateFiles() []string { return []string{stateFile, copyFile, backupFile} }
