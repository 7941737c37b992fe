package main

import (
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"time"

	"github.com/gremesh/gremesh/mesh/settings"
)

// Config is the checked configuration of an agent. Its mapstructure tags are
// the keys of the file; examples/gremesh.yaml explains each of them.
type Config struct {
	Node       NodeConfig       `mapstructure:"node"`
	Mesh       MeshConfig       `mapstructure:"mesh"`
	Pool       netip.Prefix     `mapstructure:"pool"`   // the container network of the whole mesh, masked, IPv4
	Prefix     int              `mapstructure:"prefix"` // bits of a host's subnet
	Bip        netip.Prefix     `mapstructure:"bip"`    // docker0's address as the operator fixed it; zero: leased freely
	OVS        OVSConfig        `mapstructure:"ovs"`
	Tunnel     TunnelConfig     `mapstructure:"tunnel"`
	Route      string           `mapstructure:"route"`  // per-peer or aggregate
	Direct     string           `mapstructure:"direct"` // never or same-subnet: peers that need no tunnel
	Flood      string           `mapstructure:"flood"`  // on or off: whether broadcasts of containers go to the other hosts
	Docker     DockerConfig     `mapstructure:"docker"`
	Masquerade MasqueradeConfig `mapstructure:"masquerade"`
	StateDir   string           `mapstructure:"state_dir"`    // absolute path
	Control    string           `mapstructure:"control"`      // absolute path of the unix socket
	PeerGrace  time.Duration    `mapstructure:"peer_grace"`   // how long a failed peer's port outlives its BFD session
	LeaseTTL   time.Duration    `mapstructure:"lease_ttl"`    // how long a host may be silent and keep its subnet; 0: for ever
	Import     string           `mapstructure:"lease_import"` // flannel's subnet.env; empty: none
	Metrics    MetricsConfig    `mapstructure:"metrics"`
	Log        LogConfig        `mapstructure:"log"`

	Imported netip.Prefix   `mapstructure:"-"` // the subnet that Import names; zero: none
	Profile  bool           `mapstructure:"-"` // profiles are answered for at the control socket
	Pins     []settings.Pin `mapstructure:"-"` // mesh settings that are fixed for this host
	Adapt    bool           `mapstructure:"-"` // a mesh that this host joins may have another pool
}

// NodeConfig is this host as its peers know it.
type NodeConfig struct {
	Name      string    `mapstructure:"name"`
	Advertise Advertise `mapstructure:"advertise"`
}

// MeshConfig is how this host finds the others.
type MeshConfig struct {
	Bootstrap bool     `mapstructure:"bootstrap"`
	Join      []string `mapstructure:"join"` // seeds as host:port
	Port      int      `mapstructure:"port"` // of gossip, TCP and UDP
	KeyFile   string   `mapstructure:"key_file"`
	Insecure  bool     `mapstructure:"insecure"`

	Keys [][]byte `mapstructure:"-"` // of KeyFile, 32 bytes each, the primary first; empty: insecure
}

// OVSConfig is the Open vSwitch of this host.
type OVSConfig struct {
	DB       string `mapstructure:"db"` // unix:PATH or tcp:HOST:PORT
	Bridge   string `mapstructure:"bridge"`
	Datapath string `mapstructure:"datapath"` // system, netdev, or empty for OVS's default
}

// TunnelConfig configures the tunnels. Type, Fallback and Key are mesh settings: a
// value here pins them for this host.
type TunnelConfig struct {
	Type     string        `mapstructure:"type"`     // gre, vxlan or geneve
	Fallback []string      `mapstructure:"fallback"` // types for pairs that the first does not get through to
	Retry    time.Duration `mapstructure:"retry"`    // until a pair that has moved tries the first type again
	Key      uint32        `mapstructure:"key"`      // GRE key, VXLAN or Geneve network identifier; 0: none
	BFD      bool          `mapstructure:"bfd"`
}

// DockerConfig is the Docker daemon of this host.
type DockerConfig struct {
	Bridge     string  `mapstructure:"bridge"`
	Socket     string  `mapstructure:"socket"` // unix://PATH
	DaemonJSON string  `mapstructure:"daemon_json"`
	Restart    Restart `mapstructure:"restart"`
}

// MasqueradeConfig is which destinations see the containers' own addresses:
// masq.Config, or a file that has it.
type MasqueradeConfig struct {
	NonMasqueradeCIDRs []netip.Prefix `mapstructure:"nonMasqueradeCIDRs"` // nil: the default
	MasqLinkLocal      bool           `mapstructure:"masqLinkLocal"`
	MasqLinkLocalIPv6  bool           `mapstructure:"masqLinkLocalIPv6"`
	CIDRLimit          int            `mapstructure:"cidrLimit"`
	ResyncInterval     time.Duration  `mapstructure:"resyncInterval"`
	ConfigFile         string         `mapstructure:"config_file"` // absolute path; empty: the keys beside it
}

// MetricsConfig is how Prometheus sees this host.
type MetricsConfig struct {
	Listen netip.AddrPort `mapstructure:"listen"` // zero: nowhere
}

// LogConfig is what the agent writes to standard error.
type LogConfig struct {
	Level  slog.Level `mapstructure:"level"`
	Format string     `mapstructure:"format"` // auto, text or json
}

// Advertise is where the peers reach this host: an underlay address, the
// interface that has it, or the network that it is the only one in. All are
// zero when it is to be found by the route to the first seed.
type Advertise struct {
	Addr      netip.Addr
	Interface string
	Network   netip.Prefix
}

// Restart is the command that restarts Docker, as a list of its words; empty:
// never.
type Restart []string

// Values of route.
const (
	perPeer   = "per-peer"
	aggregate = "aggregate"
)

// Values of direct.
const (
	never      = "never"
	sameSubnet = "same-subnet"
)

// The file that is read when none is named; it need not exist.
const defaultFile = "/etc/gremesh/gremesh.yaml"

const (
	keyFileKey  = "mesh.key_file"
	insecureKey = "mesh.insecure"
)

// defaults has a value for every key. Without one, viper would not look for
// the key in the environment.
func defaults() map[string]any {
	name, _ := os.Hostname() // an empty name is refused like any other
	return map[string]any{
		"node.name":                     name,
		"node.advertise":                "",
		"mesh.bootstrap":                false,
		"mesh.join":                     []string{},
		"mesh.port":                     7946,
		keyFileKey:                      "/etc/gremesh/key",
		insecureKey:                     false,
		"pool":                          "172.17.0.0/16",
		"prefix":                        24,
		"bip":                           "",
		"ovs.db":                        "unix:/var/run/openvswitch/db.sock",
		"ovs.bridge":                    "br0",
		"ovs.datapath":                  "",
		"tunnel.type":                   "gre",
		"tunnel.fallback":               []string{},
		"tunnel.key":                    0,
		"tunnel.bfd":                    true,
		"tunnel.retry":                  "1h",
		"route":                         perPeer,
		"direct":                        never,
		"flood":                         "off",
		"docker.bridge":                 "docker0",
		"docker.socket":                 "unix:///var/run/docker.sock",
		"docker.daemon_json":            "/etc/docker/daemon.json",
		"docker.restart":                []string{"systemctl", "restart", "docker"},
		"masquerade.nonMasqueradeCIDRs": nil,
		"masquerade.masqLinkLocal":      true,
		"masquerade.masqLinkLocalIPv6":  false,
		"masquerade.cidrLimit":          64,
		"masquerade.resyncInterval":     "60s",
		"masquerade.config_file":        "",
		"state_dir":                     "/var/lib/gremesh",
		"control":                       "/run/gremesh/gremesh.sock",
		"peer_grace":                    "10m",
		"lease_ttl":                     "72h",
		"lease_import":                  "",
		"metrics.listen":                "",
		"log.level":                     "info",
		"log.format":                    "auto",
	}
}

// configKeys are the keys of Config in its order: node.name, node.advertise …
func configKeys() []string {
	return structKeys(reflect.TypeFor[Config](), "")
}

func structKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for field := range t.Fields() {
		tag, ok := field.Tag.Lookup("mapstructure")
		switch {
		case !ok || tag == "-":
		case isSection(field.Type):
			keys = append(keys, structKeys(field.Type, prefix+tag+".")...)
		default:
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}

// isSection tells a struct of keys from a struct that is a value.
func isSection(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	_, tagged := t.Field(0).Tag.Lookup("mapstructure")
	return tagged
}
