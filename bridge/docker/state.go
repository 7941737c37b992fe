package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gremesh/gremesh/bridge/procs"
	"github.com/gremesh/gremesh/mesh/regular"
	"github.com/gremesh/gremesh/mesh/state"
)

// Files in the state directory.
const (
	stateFile  = "docker.json"
	copyFile   = "docker.json.copy"   // used if stateFile is missing or damaged
	backupFile = "daemon.json.before" // the original daemon.json
)

// savedState is the data that must survive a restart of the agent.
type savedState struct {
	// Former is the original that our first write replaced. It is never
	// overwritten.
	Former *former `json:"former,omitempty"`
	// Lost lists the keys whose original values are unknown, because the record
	// was lost and known has rebuilt it.
	Lost []string `json:"lost,omitempty"`
	// Written has the values that gremesh wrote last. A key that is not set
	// here already had the desired value.
	Written Values `json:"written"`
	// TransitionalBip is the bip that was written only for dockerd's next start.
	TransitionalBip string `json:"interim,omitempty"`
	// Old lists the dockerds that ran during our last write and had started
	// with other values, or may have.
	Old []procs.Process `json:"old,omitempty"`
	// Back reports whether our last write restored the original values.
	Back bool `json:"back,omitempty"`
	// Behind lists the dockerds that ran during our last write and differed
	// only in the MTU.
	Behind []behind `json:"behind,omitempty"`
	// StartedWithoutDirect lists the dockerds that had started without
	// "allow-direct-routing" when gremesh wrote it.
	StartedWithoutDirect []procs.Process `json:"unread,omitempty"`
	// Unmarked lists the dockerds that had started without
	// "bridge-accept-fwmark" when gremesh wrote it.
	Unmarked []procs.Process `json:"unmarked,omitempty"`
	// Read lists the dockerds that had started with "allow-direct-routing" when
	// gremesh removed it.
	Read []procs.Process `json:"read,omitempty"`
}

// behind is a dockerd that started with another MTU than daemon.json has.
type behind struct {
	procs.Process
	MTU int `json:"mtu"` // bytes; 0 if it was not set
}

// noteDirect records the running dockerds that have not read the coming change
// of "allow-direct-routing". If in is set, the key is about to be written, and
// StartedWithoutDirect lists them. Otherwise the key is about to be removed, and Read lists
// them.
func (s *savedState) noteDirect(in bool, running []procs.Process, seen map[procs.Process]Values) {
	s.Read, s.StartedWithoutDirect = nil, nil
	for _, p := range running {
		switch read := seen[p].Direct == "true"; {
		case in && !read:
			s.StartedWithoutDirect = append(s.StartedWithoutDirect, p)
		case !in && read:
			s.Read = append(s.Read, p)
		}
	}
}

// former describes daemon.json before our first write.
type former struct {
	Path    string `json:"path"`
	Existed bool   `json:"existed"`
	MadeDir bool   `json:"made_dir,omitempty"` // its directory did not exist either
	Values
}

// load returns the state. If its file is missing or damaged, load returns the
// copy. If neither file exists, load returns the zero state.
func (d *Daemon) load() (savedState, error) {
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
		return savedState{}, nil
	case missing:
		return savedState{}, spareErr
	}
	return savedState{}, err
}

func (d *Daemon) loadFrom(name string) (savedState, error) {
	path := filepath.Join(d.cfg.StateDir, name)
	b, err := regular.Read(path)
	if err != nil {
		return savedState{}, fmt.Errorf("read state: %w", err)
	}
	var s savedState
	if err := json.Unmarshal(b, &s); err != nil {
		return savedState{}, fmt.Errorf("read state %s: %w", path, err)
	}
	return s, nil
}

func (d *Daemon) store(s savedState) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	return errors.Join(d.keep(stateFile, b), d.keep(copyFile, b))
}

// keep writes a file in the state directory. Only its owner can read it.
func (d *Daemon) keep(name string, b []byte) error {
	if err := os.MkdirAll(d.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	return state.Write(filepath.Join(d.cfg.StateDir, name), b)
}

// StateFiles returns the names of this package's files in the state directory.
func StateFiles() []string { return []string{stateFile, copyFile, backupFile} }
