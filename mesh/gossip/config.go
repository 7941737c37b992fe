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

// Config configures a Node.
type Config struct {
	Name          string
	Underlay      netip.AddrPort // address and port to bind and to advertise
	Seeds         []string       // host or host:port
	Bootstrap     bool           // create a mesh if no seed is in one
	Direct        netip.Prefix   // network of underlay addresses whose hosts may send packets without a tunnel; zero: none
	DirectAllowed bool           // whether such packets reach this host's containers now; see Node.SetDirectAllowed
	Keys          [][]byte       // AES keys of 16, 24 or 32 bytes, the primary one first; none: no encryption
	Settings      Settings       // this host's settings; used in a mesh without a record of its settings
	Adapt         bool           // Settings.Pool is only a default, and a mesh to join may differ; see PoolError
	Pins          []settings.Pin // settings that apply on this host, whatever the mesh's are
	Fixed         netip.Prefix   // the only subnet to claim; zero: any
	Prefer        []netip.Prefix // subnets to claim before any other
	TTL           time.Duration  // a lease expires when its host was silent for longer; 0: never
	Dir           string         // directory for this host's state

	// Found returns settings and problems for a mesh that this host is about to
	// create. The settings follow from the present state of this machine, for
	// example from existing tunnels. The problems are for the operator. An
	// error means that the mesh cannot be created yet. If Found is nil, there
	// are no such settings.
	Found func(context.Context) ([]settings.Value, []mesh.Problem, error)

	Log *slog.Logger
}

// Settings are the mesh settings in this host's configuration. Pool must be
// the same on every host. The type, the fallback and the key of Tunnel apply in
// two cases. Either this host creates the mesh, or the mesh has no record of
// its settings.
type Settings struct {
	Pool   lease.Pool
	Tunnel mesh.TunnelConfig
}

// values returns the settings in the form that a record has.
func (s Settings) values() settings.Values {
	return settings.Values{}.With(
		settings.Pool.Is(s.Pool.Prefix), settings.Prefix.Is(s.Pool.Bits),
		settings.TunnelType.Is(cmp.Or(s.Tunnel.Type, "gre")), settings.TunnelFallback.Is(s.Tunnel.Fallback),
		settings.TunnelKey.Is(s.Tunnel.Key))
}

// differences returns one text for each setting that prevents two hosts from
// being in one mesh. The texts use the keys of the configuration. The result is
// empty if the hosts can be in one mesh.
func differences(ours, theirs lease.Pool) []string {
	var found []string
	differ := func(key, ours, their string) {
		if ours != their {
			found = append(found, fmt.Sprintf("%s is %s there and %s here", key, their, ours))
		}
	}
	differ("pool", ours.Prefix.String(), theirs.Prefix.String())
	differ("prefix", strconv.Itoa(ours.Bits), strconv.Itoa(theirs.Bits))
	return found
}
