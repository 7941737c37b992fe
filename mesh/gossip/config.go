package gossip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// Config is what a Node is told once.
type Config struct {
	Name      string
	Underlay  netip.AddrPort // bound and advertised
	Seeds     []string       // host or host:port
	Bootstrap bool           // found a mesh if no seed knows one
	Direct    netip.Prefix   // the underlay network within which peers may do without a tunnel; zero: none
	Open      bool           // they may do so now; see Node.Open
	Keys      [][]byte       // AES keys of 16, 24 or 32 bytes, the first is primary; none: plain text
	Settings  Settings
	Fixed     netip.Prefix   // the only subnet to claim, or zero
	Prefer    []netip.Prefix // subnets to claim before any other
	TTL       time.Duration  // a lease runs out when its host was silent for so long; 0: never
	Dir       string         // where the host's state is kept
	Log       *slog.Logger
}

// Settings must be the same on every host of a mesh.
type Settings struct {
	Space  lease.Space
	Tunnel mesh.TunnelConfig
}

// differences names each setting in which a host's differ from ours, in the
// words of the configuration; empty when they agree.
func (s Settings) differences(theirs Settings) []string {
	var found []string
	differ := func(key, ours, their string) {
		if ours != their {
			found = append(found, fmt.Sprintf("%s is %s there and %s here", key, their, ours))
		}
	}
	differ("pool", s.Space.Pool.String(), theirs.Space.Pool.String())
	differ("prefix", strconv.Itoa(s.Space.Bits), strconv.Itoa(theirs.Space.Bits))
	differ("tunnel.type", s.Tunnel.Type, theirs.Tunnel.Type)
	differ("tunnel.fallback", fmt.Sprint(s.Tunnel.Fallback), fmt.Sprint(theirs.Tunnel.Fallback))
	differ("tunnel.key", fmt.Sprint(s.Tunnel.Key), fmt.Sprint(theirs.Tunnel.Key))
	return found
}
