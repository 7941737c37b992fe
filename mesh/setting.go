package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gremesh/gremesh/mesh/settings"
)

// SettingList holds the settings of the mesh as one host knows them.
type SettingList struct {
	Version  uint64    `json:"version"` // of the record; 0: the mesh is older than its settings record
	Writer   string    `json:"writer"`  // name or ID of the host that wrote this version; empty in version 0
	Settings []Setting `json:"settings"`
}

// Setting is one key of the mesh settings on one host.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`           // the value that applies on this host
	Origin string `json:"origin"`          // mesh, pinned or default
	Where  string `json:"where,omitempty"` // where it is pinned: the file, variable or flag
	Mesh   string `json:"mesh"`            // the value in the mesh
	Fixed  string `json:"fixed,omitempty"` // the reason why it cannot change on a running mesh; empty: it can
	Known  bool   `json:"known"`           // false: this key is from a later version of gremesh
}

// Origins of a value.
const (
	OriginMesh    = "mesh"
	OriginPinned  = "pinned"
	OriginDefault = "default"
)

// SettingsEditor reads and changes the settings of the mesh. Set returns the
// settings after the change, once they are on disk. If one of the changes is
// not possible, Set makes none of them, and its error names that change.
type SettingsEditor interface {
	Settings(context.Context) (SettingList, error)
	Set(context.Context, []settings.Value) (SettingList, error)
}

// ListSettings lists all keys of a record with the values that apply on a host
// with these pins. Known keys come first, in the order of
// [settings.Definitions]; unknown keys follow, in the order of the record.
func ListSettings(record settings.Record, writer string, pins []settings.Pin) SettingList {
	list := SettingList{Version: record.Version, Writer: writer, Settings: []Setting{}}
	known := make(map[string]bool)
	for _, d := range settings.Definitions() {
		known[d.Name] = true
		s := Setting{Key: d.Name, Mesh: settings.Text(record.Values, d.Name), Origin: OriginMesh, Fixed: d.Fixed, Known: true}
		if _, is := record.Values.Get(d.Name); !is {
			s.Origin = OriginDefault
		}
		s.Value = s.Mesh
		for _, pin := range pins {
			if pin.Key == d.Name {
				s.Value, s.Origin, s.Where = pin.Text, OriginPinned, pin.Where
			}
		}
		list.Settings = append(list.Settings, s)
	}
	for _, v := range record.Values {
		if !known[v.Key] {
			list.Settings = append(list.Settings, Setting{Key: v.Key, Value: v.Text, Mesh: v.Text, Origin: OriginMesh})
		}
	}
	return list
}

// mostSettings is the maximum size in bytes of a request to change settings.
const mostSettings = 1 << 16

func (c Control) getSettings(w http.ResponseWriter, r *http.Request) {
	list, err := c.Settings.Settings(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, list)
}

func (c Control) postSettings(w http.ResponseWriter, r *http.Request) {
	var changes []settings.Value
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostSettings)).Decode(&changes)
	if err == nil && len(changes) == 0 {
		err = errors.New("the list is empty")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "want a list of keys and values: "+err.Error())
		return
	}
	list, err := c.Settings.Set(r.Context(), changes)
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, list)
}
