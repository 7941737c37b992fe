package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// peerEntry describes a host of a mesh that does not exist yet. See
// examples/peers.yaml.
type peerEntry struct {
	Name     string `yaml:"name"`
	Underlay string `yaml:"underlay"`
	Subnet   string `yaml:"subnet"`
}

// ReadPeersFile reads a list of hosts in YAML or JSON. It returns one error for
// each wrong entry, joined.
func ReadPeersFile(path string, space lease.Pool) ([]mesh.Host, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var entries []peerEntry
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&entries); err != nil {
		return nil, fmt.Errorf("%s: want a list of hosts with name, underlay and subnet: %w", path, err)
	}
	var hosts []mesh.Host
	var errs []error
	seen := make(map[string]int) // number of the entry that has a name, an address or a subnet
	for i, entry := range entries {
		host, err := entry.host(space)
		for _, key := range []string{entry.Name, entry.Underlay, entry.Subnet} {
			if first, twice := seen[key]; twice && err == nil {
				err = fmt.Errorf("%s is entry %d's already", key, first)
			}
			seen[key] = i + 1
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: entry %d (%s): %w", path, i+1, entry.Name, err))
		}
		hosts = append(hosts, host)
	}
	return hosts, errors.Join(errs...)
}

func (e peerEntry) host(space lease.Pool) (mesh.Host, error) {
	if !hostChars(e.Name) || len(e.Name) > maxNameLen {
		return mesh.Host{}, fmt.Errorf("name %q: must be 1 to %d letters, digits, dots, dashes or underscores", e.Name, maxNameLen)
	}
	underlay, err := netip.ParseAddr(e.Underlay)
	if err == nil {
		err = usableAddr(underlay)
	} else {
		err = errors.New("must be an address")
	}
	if err == nil && space.Prefix.Contains(underlay) {
		err = fmt.Errorf("is inside the pool %s", space.Prefix)
	}
	if err != nil {
		return mesh.Host{}, fmt.Errorf("underlay %q: %w", e.Underlay, err)
	}
	subnet, err := netip.ParsePrefix(e.Subnet)
	if err != nil || !space.Contains(subnet) {
		return mesh.Host{}, fmt.Errorf("subnet %q: must be one of the /%d of the pool %s", e.Subnet, space.Bits, space.Prefix)
	}
	return mesh.Host{Name: e.Name, Underlay: underlay, Subnet: subnet, Liveness: mesh.Alive}, nil
}
