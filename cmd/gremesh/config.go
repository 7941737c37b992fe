package main

import (
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"time"

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
	perPeer   = "per-peer"
	aggregate = "aggregate"
)

// Values of Config.Direct.
const (
	never      = "never"
	sameSubnet = "same-subnet"
)

// defaultFile is the configuration file that the agent reads if no file is
// named. It need not exist.
const defaultFile = "/etc/gremesh/gremesh.yaml"

const (
	keyFileKey  = "mesh.key_file"
	insecureKey = "mesh.insecure"
)

// defaults returns a value for every key. Without a default, viper ignores the
// key in the environment.
func defaults() map[string]any {
	name, _ := os.Hostname() // if it fails, the name is empty, and the validation rejects an empty name
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

// configKeys returns the keys of Config in the order of its fields, such as
// node.name and node.advertise.
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

// isSection reports whether a struct contains keys. Other structs are values.
func isSection(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	_, tagged := t.Field(0).Tag.Lookup("mapstructure")
	return tagged
}
