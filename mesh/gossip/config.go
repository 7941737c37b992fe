package gossip

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
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
	Settings  Settings       // this host's own, for a mesh that has no record of them
	Adapt     bool           // Settings.Space is a default: a mesh that this host joins may have another, see SpaceError
	Pins      []settings.Pin // settings that count on this host whatever the mesh's are
	Fixed     netip.Prefix   // the only subnet to claim, or zero
	Prefer    []netip.Prefix // subnets to claim before any other
	TTL       time.Duration  // a lease runs out when its host was silent for so long; 0: never
	Dir       string         // where the host's state is kept

	// Found returns settings for a mesh that this host is about to create, in
	// which the machine has a say, and what the operator should know about them.
	// An error means that the mesh cannot be created yet. Nil: there are none.
	Found func(context.Context) ([]settings.Value, []mesh.Problem, error)

	Log *slog.Logger
}

// Settings are what this host's configuration says of the mesh. Space must be the
// same on every host. Of Tunnel the type, the fallback and the key count in a
// mesh that this host creates, or that is older than the record of its settings.
type Settings struct {
	Space  lease.Space
	Tunnel mesh.TunnelConfig
}

// values returns the settings as a record has them.
func (s Settings) values() settings.Values {
	return settings.Values{}.With(
		settings.Pool.Is(s.Space.Pool), settings.Prefix.Is(s.Space.Bits),
		settings.TunnelType.Is(cmp.Or(s.Tunnel.Type, "gre")), settings.TunnelFallback.Is(s.Tunnel.Fallback),
		settings.TunnelKey.Is(s.Tunnel.Key))
}

// differences names the settings that keep two hosts apart because they differ, in
// the words of the configuration. It returns none when the hosts go together.
func differences(ours, theirs lease.Space) []string {
	var found []string
	differ := func(key, ours, their string) {
		if ours != their {
			found = append(found, fmt.Sprintf("%s is %s there and %s here", key, their, ours))
		}
	}
	differ("pool", ours.Pool.String(), theirs.Pool.String())
	differ("prefix", strconv.Itoa(ours.Bits), strconv.Itoa(theirs.Bits))
	return found
}
