package gossip

import (
	"context"
	"errors"
	"fmt"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

var errNoSettings = errors.New("the settings of the mesh are not known on this host yet; `gremesh status` says what it waits for")

// Settings returns the settings of the mesh that this host has on disk.
func (n *Node) Settings(ctx context.Context) (list mesh.SettingList, err error) {
	var wrong error
	err = n.ask(ctx, func() lease.Effects {
		if n.persistedSettings.IsZero() {
			wrong = errNoSettings
			return lease.Effects{}
		}
		list = n.listSettings()
		return lease.Effects{}
	})
	return list, errors.Join(err, wrong)
}

// Set writes the next version of the mesh settings. When it returns without an
// error, the settings are on disk here and on their way to all other hosts. Set
// needs no majority. If two hosts write the same version, every host uses the
// version of the host with the higher ID.
func (n *Node) Set(ctx context.Context, changes []settings.Value) (list mesh.SettingList, err error) {
	var wrong error
	err = n.ask(ctx, func() lease.Effects {
		before := n.settings
		if wrong = n.edit(changes); wrong != nil {
			return lease.Effects{}
		}
		n.commit(lease.Effects{})
		if n.dirty {
			n.settings = before
			wrong = errors.New("the settings could not be written to state_dir, so nothing has changed; `gremesh status` says why")
			return lease.Effects{}
		}
		list = n.listSettings()
		return lease.Effects{}
	})
	return list, errors.Join(err, wrong)
}

func (n *Node) edit(changes []settings.Value) error {
	switch {
	case n.left:
		return errors.New("this host has left the mesh")
	case n.settings.IsZero() || n.mesh == "":
		return errNoSettings
	case n.settings.Version >= settings.MaxVersion:
		return fmt.Errorf("version %d of the settings is the last that there can be: make a new mesh", n.settings.Version)
	}
	values, err := settings.Edit(n.settings.Values, changes, randomBits)
	if err != nil {
		return err
	}
	next := settings.Record{Version: n.settings.Version + 1, Writer: n.self, Values: values}
	if err := next.Validate(); err != nil {
		return err
	}
	if len(changedKeys(n.settings.Values, values)) > 0 {
		n.changeSettings(next)
	}
	return nil
}

func (n *Node) listSettings() mesh.SettingList {
	writer := ""
	switch id := n.persistedSettings.Writer; {
	case id == n.self:
		writer = n.cfg.Name
	case !id.IsZero():
		writer = id.String()
		if r, ok := n.machine.Table().Get(id); ok {
			writer = r.Name
		}
	}
	return mesh.ListSettings(n.persistedSettings, writer, n.cfg.Pins)
}
