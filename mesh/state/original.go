package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/gremesh/gremesh/mesh/regular"
)

// originalFile holds what components need to restore the host as it was before
// gremesh, by the component's name.
const originalFile = "original.json"

// legacyFiles held the originals of single components in earlier versions.
var legacyFiles = map[string]string{"kernel": "host.json", "ovs": "switch.json"}

// Originals stores the originals of all components in a directory.
type Originals struct{ Dir string }

// Load returns the originals by component. A host that an earlier version has
// changed has them in files of their own; a component without such a file was
// not changed.
func (o Originals) Load() (map[string]json.RawMessage, error) {
	all := make(map[string]json.RawMessage)
	err := ReadJSON(filepath.Join(o.Dir, originalFile), &all)
	if !errors.Is(err, fs.ErrNotExist) {
		return all, err
	}
	for component, file := range legacyFiles {
		data, err := regular.Read(filepath.Join(o.Dir, file))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			all[component] = data
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	for component := range legacyFiles {
		if all[component] == nil {
			all[component] = json.RawMessage("null")
		}
	}
	return all, nil
}

// Save replaces the originals. It returns once they are on disk.
func (o Originals) Save(all map[string]json.RawMessage) error {
	return WriteJSON(filepath.Join(o.Dir, originalFile), all)
}
