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

// StateFile is where in the state directory a Former is kept.
const StateFile = "switch.json"

// Former is what gremesh's first change found of a bridge that is not its own.
type Former struct {
	Bridge string `json:"bridge"`
	MTU    int    `json:"mtu_request"` // bytes, of its own port; 0: none
}

// Former returns what was before gremesh's first change; nil: no bridge of
// others has been changed.
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

// remember makes durable how a bridge of others is before the first change to
// it. What is there already is never overwritten.
func (c *Client) remember(ctx context.Context, changes []Change) error {
	if !slices.ContainsFunc(changes, func(change Change) bool { return change.Should != "" }) {
		return nil // what is only taken away is ours
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
	dir, err := os.Open(c.config.StateDir) // the rename is durable only with its directory
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// diffFormer puts back what a bridge of others had, and takes our mark from one
// of ours that others use by now, which stays for that.
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

// Stays says what of ours is not taken away and why.
func Stays(have Actual) []string {
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
