package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// versionAnswer has the fields that gremesh needs from the answer to GET
// /version.
type versionAnswer struct {
	Version    string
	Platform   struct{ Name string }
	Components []struct{ Name string }
}

// infoAnswer has the fields that gremesh needs from the answer to GET /info.
type infoAnswer struct {
	LiveRestoreEnabled bool
	ContainersRunning  int
	ContainersPaused   int // ContainersRunning counts these, too
	SecurityOptions    []string
	OperatingSystem    string
	DockerRootDir      string
	FirewallBackend    struct{ Driver string } // since Docker 28.3
}

// networkAnswer is one network in the answer to GET /networks.
type networkAnswer struct {
	Name   string
	ID     string `json:"Id"`
	Driver string
	IPAM   struct {
		Config []struct{ Subnet, Gateway string }
	}
	Options map[string]string
}

// defaultNetwork is the name of the network that owns docker0.
const defaultNetwork = "bridge"

// Keys of a bridge network's options.
const (
	mtuOption  = "com.docker.network.driver.mtu"
	nameOption = "com.docker.network.bridge.name"
)

// bip returns the network's IPv4 gateway with its prefix length, in the form of
// the key bip. It returns the zero Prefix if the network has no IPv4 subnet.
func (n networkAnswer) bip() netip.Prefix {
	for _, c := range n.IPAM.Config {
		subnet, err := netip.ParsePrefix(c.Subnet)
		if err != nil || !subnet.Addr().Is4() {
			continue
		}
		gateway, err := netip.ParseAddr(c.Gateway)
		if err != nil { // some versions omit a gateway that was not configured
			gateway = subnet.Masked().Addr().Next()
		}
		return netip.PrefixFrom(gateway, subnet.Bits())
	}
	return netip.Prefix{}
}

// mtu returns the MTU of the network's containers, in bytes. It returns
// defaultMTU if the network has no valid MTU option.
func (n networkAnswer) mtu() int {
	if mtu, err := strconv.Atoi(n.Options[mtuOption]); err == nil && mtu > 0 {
		return mtu
	}
	return defaultMTU
}

// link returns the name of the network's Linux bridge. It returns an empty
// string if the network has none.
func (n networkAnswer) link() string {
	switch {
	case n.Driver != "bridge":
		return ""
	case n.Options[nameOption] != "":
		return n.Options[nameOption]
	case len(n.ID) < 12:
		return ""
	}
	return "br-" + n.ID[:12]
}

// unsupported returns the kind of a daemon that gremesh does not support, such
// as "Podman". It returns an empty string for an ordinary dockerd.
func unsupported(version versionAnswer, info infoAnswer) string {
	for _, c := range version.Components {
		if strings.Contains(c.Name, "Podman") {
			return "Podman"
		}
	}
	switch {
	case strings.Contains(version.Platform.Name, "Docker Desktop"), info.OperatingSystem == "Docker Desktop":
		return "Docker Desktop"
	case slices.Contains(info.SecurityOptions, "name=rootless"):
		return "rootless Docker"
	case strings.HasPrefix(info.DockerRootDir, "/var/snap/"):
		return "the snap package of Docker"
	}
	return ""
}

// Network is a network of this host's Docker.
type Network struct {
	Name    string
	Link    string         // its Linux bridge; empty if it has none
	Subnets []netip.Prefix // IPv4 and IPv6
}

// Networks returns Docker's networks. It returns none, without an error, if no
// dockerd runs.
func (d *Daemon) Networks(ctx context.Context) ([]Network, error) {
	if running, err := dockerds(); err != nil || len(running) == 0 {
		return nil, err // do not connect: systemd would start Docker
	}
	var answers []networkAnswer
	if err := d.engine.get(ctx, "/networks", &answers); err != nil {
		if errors.Is(err, errNoEngine) {
			return nil, nil
		}
		return nil, fmt.Errorf("list Docker's networks: %w", err)
	}
	all := make([]Network, 0, len(answers))
	for _, a := range answers {
		n := Network{Name: a.Name, Link: a.link()}
		for _, c := range a.IPAM.Config {
			if subnet, err := netip.ParsePrefix(c.Subnet); err == nil {
				n.Subnets = append(n.Subnets, subnet)
			}
		}
		all = append(all, n)
	}
	return all, nil
}

// NetworkOf returns the name of the network that owns the Linux bridge link. It
// returns an empty string if no network owns it.
func NetworkOf(all []Network, link string) string {
	for _, n := range all {
		if link != "" && n.Link == link {
			return n.Name
		}
	}
	return ""
}
