package gossip

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/gremesh/gremesh/mesh/lease"
)

// state is what a host must not forget: who it is, and the lease table with
// the promises that it made.
type state struct {
	Host    lease.ID       `json:"host"`
	Mesh    string         `json:"mesh,omitempty"`
	Records []lease.Record `json:"records"`
}

// store keeps a state in a file.
type store struct{ path string }

// load reads the state. A host that has none gets a new identity, which is
// durable before load returns. A file that can't be read is never replaced.
func (s store) load() (state, error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		st := state{Host: newID()}
		if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
			return state{}, fmt.Errorf("make the state directory: %w", err)
		}
		return st, s.save(st)
	}
	if err != nil {
		return state{}, fmt.Errorf("read the host's state: %w", err)
	}
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return state{}, s.damaged(err)
	}
	if st.Host.IsZero() {
		return state{}, s.damaged(errors.New("it has no host ID"))
	}
	if err := lease.ValidateAll(st.Records); err != nil {
		return state{}, s.damaged(err)
	}
	return st, nil
}

func (s store) damaged(err error) error {
	return fmt.Errorf("the host's state %s is damaged: %w; restore it from a backup, or remove it to start as a new host", s.path, err)
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
	folder := filepath.Dir(s.path)
	if err := renameio.WriteFile(s.path, data, 0o600, renameio.WithTempDir(folder)); err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	dir, err := os.Open(folder) // the rename is durable only with its directory
	if err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write the host's state: %w", err)
	}
	return nil
}
