package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/gremesh/gremesh/mesh/state"
)

// StateFile is the name of the file in the state directory that holds the Original.
const StateFile = "host.json"

// Original is the original state of the kernel, before gremesh's first change.
type Original struct {
	Bridge  OriginalLink   `json:"bridge"`     // Docker's bridge
	OVSPort OriginalLink   `json:"port"`       // the OVS bridge's own device
	Addrs   []netip.Prefix `json:"addresses"`  // IPv4, of Bridge
	Addrs6  []netip.Prefix `json:"addresses6"` // IPv6, of Bridge
	Routes  []Route        `json:"routes"`     // other programs' routes on Bridge without a gateway
	// Sysctls holds the original values by path under /proc/sys. Empty: the device
	// did not exist.
	Sysctls map[string]string `json:"sysctls"`
}

// OriginalLink is the original state of a device.
type OriginalLink struct {
	Exists bool   `json:"exists"`
	MAC    string `json:"mac,omitempty"`
	MTU    int    `json:"mtu,omitempty"` // bytes
	Up     bool   `json:"up,omitempty"`
	Master string `json:"master,omitempty"`
}

func originalOf(have State) Original {
	return Original{
		Bridge: originalLink(have.Bridge), OVSPort: originalLink(have.OVSPort),
		Addrs: have.Addrs, Addrs6: have.Addrs6,
		Routes: slices.DeleteFunc(slices.Clone(have.Routes), func(r Route) bool {
			return r.Protocol == RouteProtocol || r.Protocol == protocolKernel || r.Via.IsValid() || r.Link != have.Bridge.Name
		}),
		Sysctls: map[string]string{},
	}
}

func originalLink(l Link) OriginalLink {
	if !l.Exists {
		return OriginalLink{}
	}
	return OriginalLink{Exists: true, MAC: l.MAC.String(), MTU: l.MTU, Up: l.Up, Master: l.Master}
}

// Former returns the stored original state. It returns nil if SaveOriginal has not
// stored one yet.
func (k *Kernel) Former() (*Original, error) {
	var f Original
	err := state.ReadJSON(k.stateFile(), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how this host was before gremesh: %w", err)
	}
	return &f, nil
}

func (k *Kernel) stateFile() string { return filepath.Join(k.cfg.StateDir, StateFile) }

// SaveOriginal stores the original state durably. The caller must call it before
// gremesh changes anything on this host for the first time. That includes a restart
// of Docker, because Docker then changes its bridge.
//
// SaveOriginal never overwrites stored values. It only adds sysctls that an earlier
// version of gremesh did not set. After a success, further calls do nothing.
func (k *Kernel) SaveOriginal(ctx context.Context) error {
	if k.remembered.Load() {
		return nil
	}
	f, err := k.Former()
	if err != nil {
		return err
	}
	have, err := k.Observe(ctx)
	if err != nil {
		return err
	}
	fresh := f == nil
	if fresh {
		first := originalOf(have)
		f = &first
	}
	if f.Sysctls == nil { // the file was edited by hand
		f.Sysctls = make(map[string]string)
	}
	for _, path := range sysctlPaths(k.cfg.Bridge) {
		if _, known := f.Sysctls[path]; !known {
			f.Sysctls[path], fresh = have.Sysctls[path], true
		}
	}
	if fresh {
		if err := k.keep(*f); err != nil {
			return fmt.Errorf("keep how this host was before gremesh: %w", err)
		}
	}
	k.remembered.Store(true)
	return nil
}

func (k *Kernel) keep(f Original) error { return state.WriteJSON(k.stateFile(), f) }
