package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/cmd/internal/config"
)

// Underlay is this host's address and device on the network that carries the
// tunnels.
type Underlay struct {
	Addr netip.Addr
	Link string
	MTU  int // bytes
}

// FindUnderlay returns the underlay of this host. It takes the configured
// address, interface or network if there is one. Otherwise it takes the source
// address of packets to the first seed. The first host of a mesh has no seed:
// it must have exactly one possible address, otherwise FindUnderlay returns an
// error.
func FindUnderlay(cfg config.Config) (Underlay, error) {
	return underlayToward(cfg, destination(cfg))
}

// destination returns the address of the first seed that can be resolved. The
// route to it selects the underlay. It returns the zero value if no route
// decides: without seeds, with node.advertise, and if no seed can be resolved.
// In the last case gossip reports the seeds and tries to resolve them again.
func destination(cfg config.Config) netip.Addr {
	if cfg.Node.Advertise != (config.Advertise{}) {
		return netip.Addr{}
	}
	for _, seed := range cfg.Mesh.Join {
		if at, err := net.ResolveUDPAddr("udp", seed); err == nil {
			return at.AddrPort().Addr().Unmap()
		}
	}
	return netip.Addr{}
}

func underlayToward(cfg config.Config, toward netip.Addr) (Underlay, error) {
	at, err := lookUp(cfg, toward)
	if err == nil && (at.Link == cfg.OVS.Bridge || at.Link == cfg.Docker.Bridge) {
		key, other := "ovs.bridge", "docker.bridge"
		if at.Link == cfg.Docker.Bridge {
			key, other = other, key
		}
		return Underlay{}, fmt.Errorf("the underlay address %s is on %s, which is %s: joined to %s it would cut this host off; set %s to another name, or node.advertise to another address",
			at.Addr, at.Link, key, other, key)
	}
	if err == nil && at.Addr.Is6() && cfg.Direct == config.SameSubnet {
		return Underlay{}, fmt.Errorf("direct: same-subnet needs an IPv4 underlay, and this host's is %s: say never, or set node.advertise", at.Addr)
	}
	return at, err
}

func lookUp(cfg config.Config, toward netip.Addr) (at Underlay, err error) {
	told := cfg.Node.Advertise
	switch {
	case told.Addr.IsValid():
		at.Addr, at.Link, at.MTU, err = bridge.Resolve(told.Addr.String())
	case told.Interface != "":
		at.Addr, at.Link, at.MTU, err = bridge.Resolve(told.Interface)
	case toward.IsValid():
		if at.Addr, at.Link, at.MTU, err = bridge.Source(toward); err != nil {
			return Underlay{}, fmt.Errorf("find this host's underlay address: %w; set node.advertise", err)
		}
	default:
		var all []bridge.Candidate
		if all, err = bridge.Candidates(cfg.Pool, cfg.Docker.Bridge, cfg.OVS.Bridge); err == nil {
			at, err = onlyCandidate(told.Network, all)
		}
	}
	if err != nil {
		return Underlay{}, fmt.Errorf("node.advertise: %w", err)
	}
	return at, nil
}

// errAmbiguous means that several addresses are possible. gremesh does not
// guess.
var errAmbiguous = errors.New("set it to the one on which the other hosts reach this one, or to its device")

// onlyCandidate returns the only candidate. If network is valid, it considers
// only addresses in it. Otherwise it considers only IPv4 addresses, if there
// are any.
func onlyCandidate(network netip.Prefix, all []bridge.Candidate) (Underlay, error) {
	of := ""
	if network.IsValid() {
		of = " in " + network.String()
		all = slices.DeleteFunc(slices.Clone(all), func(c bridge.Candidate) bool { return !network.Contains(c.Addr) })
	}
	if !network.IsValid() && slices.ContainsFunc(all, func(c bridge.Candidate) bool { return c.Addr.Is4() }) {
		all = slices.DeleteFunc(slices.Clone(all), func(c bridge.Candidate) bool { return c.Addr.Is6() })
	}
	switch len(all) {
	case 0:
		return Underlay{}, fmt.Errorf("this host has no underlay address%s", of)
	case 1:
		return Underlay{all[0].Addr, all[0].Link, all[0].MTU}, nil
	}
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.String()
	}
	return Underlay{}, fmt.Errorf("this host has several addresses%s: %s; %w", of, strings.Join(names, ", "), errAmbiguous)
}
