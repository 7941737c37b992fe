package config

import (
	"os"
)

// DefaultFile is the configuration file that the agent reads if no file is
// named. It need not exist.
const DefaultFile = "/etc/gremesh/gremesh.yaml"

// DefaultControl is the default path of the control socket.
const DefaultControl = "/run/gremesh/gremesh.sock"

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
		"route":                         PerPeer,
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
		"control":                       DefaultControl,
		"peer_grace":                    "10m",
		"lease_ttl":                     "72h",
		"lease_import":                  "",
		"metrics.listen":                "",
		"log.level":                     "info",
		"log.format":                    "auto",
	}
}
