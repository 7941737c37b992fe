package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/state"
)

// StateFile is the name of the file in the state directory that holds an Original.
const StateFile = "switch.json"

// Original is the original state of another program's bridge before gremesh's
// first change.
type Original struct {
	Bridge string `json:"bridge"`
	MTU    int    `json:"mtu_request"` // bytes, of the bridge's own port; 0: none
}

// Former returns the original state from the state directory. It returns nil
// without an error if gremesh has not saved one.
func (c *Client) Former() (*Original, error) {
	var f Original
	err := state.ReadJSON(c.stateFile(), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how Open vSwitch was before gremesh: %w", err)
	}
	return &f, nil
}

func (c *Client) stateFile() string { return filepath.Join(c.config.StateDir, StateFile) }

// saveOriginal saves the original state of another program's bridge to disk before
// the first change to it. It never overwrites a saved state.
func (c *Client) saveOriginal(ctx context.Context, changes []Change) error {
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
	if err := state.WriteJSON(c.stateFile(), Original{have.Bridge.Name, have.Bridge.MTU}); err != nil {
		return fmt.Errorf("keep how Open vSwitch was before gremesh: %w", err)
	}
	return nil
}

// diffFormer restores the original MTU of another program's bridge. If other
// programs have added ports to gremesh's bridge, the bridge stays, and
// diffFormer removes gremesh's mark from it.
func diffFormer(former *Original, foreign map[string]bool, b Bridge) []Change {
	switch {
	case !b.Exists:
		return nil
	case b.Ours && foreign[b.Name]:
		return diffColumns("bridge", tableBridge, b.Name, b.uuid,
			[]column{{name: "external_ids", key: mark}}, []column{{name: "external_ids", key: mark, value: b.Mesh}})
	case !b.Ours && former.Bridge == b.Name:
		return diffColumns("interface", tableInterface, b.Name, b.local, localColumns(former.MTU), localColumns(b.MTU))
	}
	return nil
}

// Retained lists gremesh's objects that are not removed, each with the reason.
func Retained(have State) []string {
	var others []string
	for _, p := range have.Ports {
		if p.Bridge == have.Bridge.Name && !p.Ours && !p.local() {
			others = append(others, p.Name)
		}
	}
	if !have.Bridge.Ours || len(others) == 0 {
		if _, known := have.bound(); have.Bridge.Exists && !have.Bridge.Ours && !known && have.Down == "" {
			return []string{fmt.Sprintf("flows of gremesh on bridge %s may stay, because they cannot be read: ovs-ofctl del-flows %s cookie=%#x/-1", have.Bridge.Name, have.Bridge.Name, flowCookie)}
		}
		return nil
	}
	return []string{fmt.Sprintf("bridge %s, which gremesh made, stays: it has ports of others (%s)", have.Bridge.Name, strings.Join(others, ", "))}
}
