package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/gremesh/gremesh/mesh/regular"
)

// StateFile is the name of the file in the state directory that holds a Former.
const StateFile = "switch.json"

// Former is the original state of another program's bridge before gremesh's
// first change.
type Former struct {
	Bridge string `json:"bridge"`
	MTU    int    `json:"mtu_request"` // bytes, of the bridge's own port; 0: none
}

// Former returns the original state from the state directory. It returns nil
// without an error if gremesh has not saved one.
func (c *Client) Former() (*Former, error) {
	path := filepath.Join(c.config.StateDir, StateFile)
	b, err := regular.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how Open vSwitch was before gremesh: %w", err)
	}
	var f Former
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read how Open vSwitch was before gremesh: %s: %w", path, err)
	}
	return &f, nil
}

// remember saves the original state of another program's bridge to disk before
// the first change to it. It never overwrites a saved state.
func (c *Client) remember(ctx context.Context, changes []Change) error {
	if !slices.ContainsFunc(changes, func(change Change) bool { return change.Should != "" }) {
		return nil // changes that only delete affect only gremesh's objects
	}
	if f, err := c.Former(); f != nil || err != nil {
		return err
	}
	have, err := c.Observe(ctx)
	if err != nil || !have.Bridge.Exists || have.Bridge.Ours {
		return err
	}
	b, err := json.MarshalIndent(Former{have.Bridge.Name, have.Bridge.MTU}, "", "  ")
	if err == nil {
		err = os.MkdirAll(c.config.StateDir, 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(filepath.Join(c.config.StateDir, StateFile), append(b, '\n'), 0o600, renameio.WithTempDir(c.config.StateDir))
	}
	if err != nil {
		return fmt.Errorf("keep how Open vSwitch was before gremesh: %w", err)
	}
	dir, err := os.Open(c.config.StateDir) // a rename is durable only after its directory is synced
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// diffFormer restores the original MTU of another program's bridge. If other
// programs have added ports to gremesh's bridge, the bridge stays, and
// diffFormer removes gremesh's mark from it.
func diffFormer(former *Former, foreign map[string]bool, b Bridge) []Change {
	switch {
	case !b.Exists:
		return nil
	case b.Ours && foreign[b.Name]:
		return mend("bridge", tableBridge, b.Name, b.uuid,
			[]column{{name: "external_ids", key: mark}}, []column{{name: "external_ids", key: mark, value: b.Mesh}})
	case !b.Ours && former.Bridge == b.Name:
		return mend("interface", tableInterface, b.Name, b.local, localColumns(former.MTU), localColumns(b.MTU))
	}
	return nil
}

// Stays lists gremesh's objects that are not removed, each with the reason.
func Stays(have State) []string {
	var others []string
	for _, p := range have.Ports {
		if p.Bridge == have.Bridge.Name && !p.Ours && !p.local() {
			others = append(others, p.Name)
		}
	}
	if !have.Bridge.Ours || len(others) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("bridge %s, which gremesh made, stays: it has ports of others (%s)", have.Bridge.Name, strings.Join(others, ", "))}
}
