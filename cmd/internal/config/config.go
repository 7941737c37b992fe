package config

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// Config is the checked configuration of an agent. The mapstructure tags are
// the keys of the file. examples/gremesh.yaml explains each key.
type Config struct {
	Node       NodeConfig       `mapstructure:"node"`
	Mesh       MeshConfig       `mapstructure:"mesh"`
	Pool       netip.Prefix     `mapstructure:"pool"`   // container network of the whole mesh; masked, IPv4
	Prefix     int              `mapstructure:"prefix"` // prefix length of a host's subnet
	Bip        netip.Prefix     `mapstructure:"bip"`    // docker0's address, if the operator set it; zero: any free subnet
	OVS        OVSConfig        `mapstructure:"ovs"`
	Tunnel     TunnelConfig     `mapstructure:"tunnel"`
	Route      string           `mapstructure:"route"`  // per-peer or aggregate
	Direct     string           `mapstructure:"direct"` // never, or same-subnet: no tunnels to peers in the same underlay subnet
	Flood      string           `mapstructure:"flood"`  // on or off: whether containers' broadcasts go to the other hosts
	Docker     DockerConfig     `mapstructure:"docker"`
	Masquerade MasqueradeConfig `mapstructure:"masquerade"`
	StateDir   string           `mapstructure:"state_dir"`    // absolute path
	Control    string           `mapstructure:"control"`      // absolute path of the unix socket
	PeerGrace  time.Duration    `mapstructure:"peer_grace"`   // how long a failed peer's port stays after its BFD session is down
	LeaseTTL   time.Duration    `mapstructure:"lease_ttl"`    // how long a silent host keeps its lease; 0: for ever
	Import     string           `mapstructure:"lease_import"` // flannel's subnet.env; empty: none
	Metrics    MetricsConfig    `mapstructure:"metrics"`
	Log        LogConfig        `mapstructure:"log"`

	Imported netip.Prefix   `mapstructure:"-"` // the subnet in the file Import; zero: none
	Profile  bool           `mapstructure:"-"` // the control socket serves profiles
	Pins     []settings.Pin `mapstructure:"-"` // mesh settings that this host's configuration fixes
	Adapt    bool           `mapstructure:"-"` // this host may join a mesh with another pool
}

// NodeConfig describes this host to its peers.
type NodeConfig struct {
	Name      string    `mapstructure:"name"`
	Advertise Advertise `mapstructure:"advertise"`
}

// MeshConfig configures how this host finds the other hosts.
type MeshConfig struct {
	Bootstrap bool     `mapstructure:"bootstrap"`
	Join      []string `mapstructure:"join"` // seeds as host:port
	Port      int      `mapstructure:"port"` // gossip port, TCP and UDP
	KeyFile   string   `mapstructure:"key_file"`
	Insecure  bool     `mapstructure:"insecure"`

	Keys [][]byte `mapstructure:"-"` // contents of KeyFile, 32 bytes each, the primary key first; empty: insecure
}

// OVSConfig configures the use of this host's Open vSwitch.
type OVSConfig struct {
	DB       string `mapstructure:"db"` // unix:PATH or tcp:HOST:PORT
	Bridge   string `mapstructure:"bridge"`
	Datapath string `mapstructure:"datapath"` // system, netdev, or empty for the default of Open vSwitch
}

// TunnelConfig configures the tunnels. Type, Fallback and Key are mesh
// settings. A value here pins them for this host.
type TunnelConfig struct {
	Type     string        `mapstructure:"type"`     // gre, vxlan or geneve
	Fallback []string      `mapstructure:"fallback"` // types for pairs of hosts whose path drops the first type
	Retry    time.Duration `mapstructure:"retry"`    // how long a pair uses a fallback type before it tries the first type again
	Key      uint32        `mapstructure:"key"`      // GRE key, or VXLAN or Geneve network identifier; 0: none
	BFD      bool          `mapstructure:"bfd"`
}

// DockerConfig configures the use of this host's Docker daemon.
type DockerConfig struct {
	Bridge     string  `mapstructure:"bridge"`
	Socket     string  `mapstructure:"socket"` // unix://PATH
	DaemonJSON string  `mapstructure:"daemon_json"`
	Restart    Restart `mapstructure:"restart"`
}

// MasqueradeConfig configures which destinations see the containers' own
// addresses. The settings are those of filter.Config. They are set here or in
// ConfigFile.
type MasqueradeConfig struct {
	NonMasqueradeCIDRs []netip.Prefix `mapstructure:"nonMasqueradeCIDRs"` // nil: the default
	MasqLinkLocal      bool           `mapstructure:"masqLinkLocal"`
	MasqLinkLocalIPv6  bool           `mapstructure:"masqLinkLocalIPv6"`
	CIDRLimit          int            `mapstructure:"cidrLimit"`
	ResyncInterval     time.Duration  `mapstructure:"resyncInterval"`
	ConfigFile         string         `mapstructure:"config_file"` // absolute path; empty: use the keys above
}

// MetricsConfig configures the endpoint for Prometheus.
type MetricsConfig struct {
	Listen netip.AddrPort `mapstructure:"listen"` // zero: no endpoint
}

// LogConfig configures the log on standard error.
type LogConfig struct {
	Level  slog.Level `mapstructure:"level"`
	Format string     `mapstructure:"format"` // auto, text or json
}

// Advertise selects the underlay address of this host. It is an address, the
// interface that has it, or a network that contains only this address of the
// host. If all fields are zero, the route to the first seed selects the
// address.
type Advertise struct {
	Addr      netip.Addr
	Interface string
	Network   netip.Prefix
}

// Restart is the command that restarts Docker, as a list of words. The empty
// list means never.
type Restart []string

// Values of Config.Route.
const (
	PerPeer   = "per-peer"
	Aggregate = "aggregate"
)

// Values of Config.Direct.
const (
	never      = "never"
	SameSubnet = "same-subnet"
)

// Services returns the ports of this agent that containers must not reach.
func (c Config) Services() []uint16 {
	ports := []uint16{uint16(c.Mesh.Port)}
	if at := c.Metrics.Listen; at.IsValid() {
		ports = append(ports, at.Port())
	}
	return ports
}

// Space returns the subnets that the hosts of the mesh may hold.
func (c Config) Space() lease.Pool { return lease.Pool{Prefix: c.Pool, Bits: c.Prefix} }
