package config

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// load writes a file and loads it, with the agent's flags given.
func load(t *testing.T, yaml string, args ...string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gremesh.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file, true, agentFlags(t, args...))
}

func agentFlags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	MeshFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestEveryKeyHasADefault(t *testing.T) {
	want := configKeys()
	slices.Sort(want)
	var got []string
	for key := range defaults() {
		got = append(got, key)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of Config (-) and of defaults (+):\n%s", diff)
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	got, err := load(t, "", "--insecure", "--bootstrap", "--name=h1")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Node:   NodeConfig{Name: "h1"},
		Mesh:   MeshConfig{Bootstrap: true, Port: 7946, KeyFile: "/etc/gremesh/key", Insecure: true},
		Pool:   netip.MustParsePrefix("172.17.0.0/16"),
		Prefix: 24,
		OVS:    OVSConfig{DB: "unix:/var/run/openvswitch/db.sock", Bridge: "br0"},
		Tunnel: TunnelConfig{Type: "gre", Retry: time.Hour, BFD: true},
		Route:  "per-peer", Direct: "never", Flood: "off",
		Docker:     DockerConfig{Bridge: "docker0", Socket: "unix:///var/run/docker.sock", DaemonJSON: "/etc/docker/daemon.json", Restart: Restart{"systemctl", "restart", "docker"}},
		Masquerade: MasqueradeConfig{MasqLinkLocal: true, CIDRLimit: 64, ResyncInterval: time.Minute},
		StateDir:   "/var/lib/gremesh",
		Control:    "/run/gremesh/gremesh.sock",
		PeerGrace:  10 * time.Minute,
		LeaseTTL:   72 * time.Hour,
		Log:        LogConfig{Level: slog.LevelInfo, Format: "auto"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoNetworksAreNotTheDefault(t *testing.T) {
	for yaml, none := range map[string]bool{"": false, "nonMasqueradeCIDRs:": false, "nonMasqueradeCIDRs: []": true} {
		got, err := load(t, "masquerade:\n  "+yaml, "--insecure", "--bootstrap", "--name=h1")
		if err != nil || (got.Masquerade.NonMasqueradeCIDRs != nil) != none {
			t.Errorf("%q: %v, %v", yaml, got.Masquerade, err)
		}
	}
	t.Setenv("GREMESH_MASQUERADE_NONMASQUERADECIDRS", "10.0.0.0/8, 192.0.2.0/24")
	got, err := load(t, "", "--insecure", "--bootstrap", "--name=h1")
	if err != nil || len(got.Masquerade.NonMasqueradeCIDRs) != 2 {
		t.Errorf("%v, %v", got.Masquerade, err)
	}
}

func TestALaterSourceWins(t *testing.T) {
	t.Setenv("GREMESH_MESH_JOIN", "10.0.0.2 10.0.0.3:8000,h4")
	t.Setenv("GREMESH_NODE_NAME", "from-env")
	t.Setenv("GREMESH_TUNNEL_BFD", "false")
	t.Setenv("GREMESH_TUNNEL_KEY", "7")
	t.Setenv("GREMESH_DOCKER_RESTART", "service docker restart")
	t.Setenv("GREMESH_PREFIX", "") // empty is not set
	got, err := load(t, `
node: {name: from-file, advertise: eth0}
mesh:
  port: 7000
  join: [10.0.0.1]
  insecure: true
prefix: 25
log:
  # a section with nothing in it means its defaults
`, "--name=from-flag")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"10.0.0.2:7000", "10.0.0.3:8000", "h4:7000"}; !slices.Equal(got.Mesh.Join, want) {
		t.Errorf("join is %q, want %q: the environment over the file, with the file's port", got.Mesh.Join, want)
	}
	if got.Node.Name != "from-flag" {
		t.Errorf("name is %q, want the flag's", got.Node.Name)
	}
	if got.Node.Advertise != (Advertise{Interface: "eth0"}) || got.Prefix != 25 || got.Tunnel.BFD || got.Tunnel.Key != 7 {
		t.Errorf("the file's and the environment's values are not in %+v", got)
	}
	if want := (Restart{"service", "docker", "restart"}); !slices.Equal(got.Docker.Restart, want) {
		t.Errorf("restart is %q, want %q", got.Docker.Restart, want)
	}
}

func TestRestartNeverIsAnEmptyCommand(t *testing.T) {
	for _, word := range []string{"never", "Never", "NO", "no", "off", "Off", "false", "none", `"off"`, "[never]"} {
		cfg, err := load(t, "docker: {restart: "+word+"}", "--insecure", "--bootstrap")
		if err != nil || len(cfg.Docker.Restart) != 0 {
			t.Errorf("%s: restart is %q, error %v", word, cfg.Docker.Restart, err)
		}
	}
	if cfg, err := load(t, "docker: {restart: true}", "--insecure", "--bootstrap"); err == nil {
		t.Errorf("true: restart is %q", cfg.Docker.Restart)
	}
}

func TestOnlyAFileThatWasNamedMustExist(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := Load(missing, false, agentFlags(t, "--insecure", "--bootstrap")); err != nil {
		t.Errorf("the default file may be missing, but: %v", err)
	}
	if _, err := Load(missing, true, agentFlags(t)); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file that was named gave: %v", err)
	}
}

// Each case is one mistake in a configuration that is otherwise right, and the
// error that it must give: the key, the value, its source, what is allowed.
func TestMistakesAreNamed(t *testing.T) {
	const good = "mesh.insecure: true\nmesh.bootstrap: true\n"
	for _, c := range []struct {
		name, yaml string
		args       []string
		want       string
	}{
		{"unknown key", good + "mesh.jion: [10.0.0.1]", nil, `mesh.jion (file FILE): unknown key; there are mesh.bootstrap, mesh.join, mesh.port, mesh.key_file, mesh.insecure`},
		{"unknown key at the top", good + "bips: x", nil, `bips (file FILE): unknown key; there are node, mesh, pool, prefix, bip, ovs, tunnel, route, direct, flood, docker, masquerade, state_dir, control, peer_grace, lease_ttl, lease_import, metrics, log`},
		{"value for a section", good + "ovs: br0", nil, `ovs: "br0" (file FILE): expected a map or struct, got "string"`},
		{"number for text", good + "ovs: {bridge: 7}", nil, `ovs.bridge: 7 (file FILE): must be text; put it in quotes`},
		{"text for a boolean", good + "tunnel: {bfd: yes please}", nil, `tunnel.bfd: "yes please" (file FILE): must be true or false`},
		{"fraction", good + "prefix: 24.5", nil, `prefix: 24.5 (file FILE): must be a whole number`},
		{"time without unit", good + "peer_grace: 600", nil, `peer_grace: 600 (file FILE): must be a time with its unit, like 10m or 90s`},
		{"metrics without a port", good + "metrics: {listen: 127.0.0.1}", nil, `metrics.listen: "127.0.0.1" (file FILE): must be an address and a port, like 127.0.0.1:9747`},
		{"metrics at no port", good + "metrics: {listen: 127.0.0.1:0}", nil, `metrics.listen: "127.0.0.1:0" (file FILE): must have a port of 1 to 65535`},
		{"negative time to live", good + "lease_ttl: -1s", nil, `lease_ttl: "-1s" (file FILE): must not be negative; 0 is for ever`},
		{"unreadable flannel file", good + "lease_import: /proc", nil, `lease_import: "/proc" (file FILE): cannot be read: open /proc: is no regular file`},
		{"flannel file without a lease", good + "lease_import: testdata/no-lease.env", nil, `lease_import: "testdata/no-lease.env" (file FILE): has no line FLANNEL_SUBNET=172.17.43.1/24, which flanneld writes`},
		{"tunnels tried again all the time", good + "tunnel: {retry: 1s}", nil, `tunnel.retry: "1s" (file FILE): must be 10s or more: each trial costs a pair up to 3 s`},
		{"negative time", good + "peer_grace: -1s", nil, `peer_grace: "-1s" (file FILE): must not be negative`},
		{"route", good + "route: direct", nil, `route: "direct" (file FILE): must be one of "per-peer", "aggregate"`},
		{"direct", good + "direct: always", nil, `direct: "always" (file FILE): must be one of "never", "same-subnet"`},
		{"direct without routes to peers", good + "route: aggregate\ndirect: same-subnet", nil, `direct: "same-subnet" (file FILE): needs route: per-peer`},
		{"fallback", good + "tunnel: {fallback: [vxlan, ipip, gre], bfd: false}", nil,
			`tunnel.fallback: [vxlan ipip gre] (file FILE): must be one of "gre", "vxlan", "geneve"`},
		{"broadcasts without a way", good + "route: aggregate\nflood: off", nil, `flood: "off" (file FILE): must be on with route: aggregate, because hosts then ask each other for containers' addresses by broadcast`},
		{"log level", good + "log: {level: loud}", nil, `log.level: "loud" (file FILE): must be debug, info, warn or error`},
		{"log format", good + "log: {format: xml}", nil, `log.format: "xml" (file FILE): must be one of "auto", "text", "json"`},

		{"no mesh", "mesh: {insecure: true}", nil, `mesh.join: [] (default): this host knows no mesh: name the hosts to join (--join), or say mesh.bootstrap: true (--bootstrap) on the first host of a new mesh, and only there`},
		{"insecure with a key file", "mesh: {insecure: true, bootstrap: true, key_file: /k}", nil, `mesh.insecure: true (file FILE): contradicts mesh.key_file: "/k" (file FILE); remove one of them`},
		{"insecure flag against the file", "mesh: {bootstrap: true, key_file: /k}", []string{"--insecure"}, `mesh.insecure: true (flag --insecure): contradicts mesh.key_file: "/k" (file FILE); remove one of them`},
		{"relative key file", "mesh: {bootstrap: true, key_file: key}", nil, `mesh.key_file: "key" (file FILE): must be an absolute path, unless mesh.insecure is true`},
		{"no key file", "mesh: {bootstrap: true, key_file: /none/key}", nil, `mesh.key_file: "/none/key" (file FILE): there is no such file: copy it from a host of the mesh; for a new mesh make it with "gremesh keygen /none/key"; for a trial set mesh.insecure: true (--insecure)`},
		{"port", good + "mesh.port: 70000", nil, `mesh.port: 70000 (file FILE): must be 1 to 65535`},
		{"seed with a bad port", good, []string{"--join=h2:x"}, `mesh.join: [h2:x] (flag --join): "h2:x" must have a port of 1 to 65535`},
		{"seed with a bad address", good, []string{"--join=192.168.248.300"}, `mesh.join: [192.168.248.300] (flag --join): "192.168.248.300" must be an address or a host name, with :PORT or without`},
		{"seed of one link", good, []string{"--join=[fe80::1]:7946"}, `mesh.join: [[fe80::1]:7946] (flag --join): "[fe80::1]:7946" is not the address of a host that others can reach`},
		{"seed in the pool", good, []string{"--join=172.17.42.1"}, `mesh.join: [172.17.42.1] (flag --join): "172.17.42.1" is inside the pool 172.17.0.0/16; seeds are named by their underlay address`},

		{"name", good + "node: {name: 'h 1'}", nil, `node.name: "h 1" (file FILE): must be 1 to 64 letters, digits, dots, dashes or underscores`},
		{"advertise no address", good + "node: {advertise: 192.168.300.1}", nil, `node.advertise: "192.168.300.1" (file FILE): is no address`},
		{"advertise host bits", good + "node: {advertise: 192.168.248.139/24}", nil, `node.advertise: "192.168.248.139/24" (file FILE): has bits beyond its prefix length; the network is 192.168.248.0/24`},
		{"advertise no network", good + "node: {advertise: 192.168.248.0/33}", nil, `node.advertise: "192.168.248.0/33" (file FILE): is no network`},
		{"advertise network in the pool", good + "node: {advertise: 172.17.1.0/24}", nil, `node.advertise: "172.17.1.0/24" (file FILE): is inside the pool 172.17.0.0/16; the underlay must be outside it`},
		{"advertise too long", good + "node: {advertise: interface-of-sixteen}", nil, `node.advertise: "interface-of-sixteen" (file FILE): must be an address, a network or an interface name; as a name it has 20 bytes; an interface name may have 15`},
		{"advertise of one link", good + "node: {advertise: 'fe80::1'}", nil, `node.advertise: "fe80::1" (file FILE): is not the address of a host that others can reach`},
		{"advertise in the pool", good + "node: {advertise: 172.17.1.1}", nil, `node.advertise: "172.17.1.1" (file FILE): is inside the pool 172.17.0.0/16; the underlay must be outside it`},

		{"pool no network", good + "pool: 172.17.0.0", nil, `pool: "172.17.0.0" (file FILE): must be an address with its prefix length, like 172.17.0.0/16`},
		{"pool IPv6", good + "pool: 'fd00::/64'", nil, `pool: "fd00::/64" (file FILE): must be an IPv4 network, like 172.17.0.0/16`},
		{"pool not masked", good + "pool: 172.17.1.0/16", nil, `pool: "172.17.1.0/16" (file FILE): has bits beyond its prefix length; the network is 172.17.0.0/16`},
		{"pool too small", good + "pool: 172.17.0.0/29", nil, `pool: "172.17.0.0/29" (file FILE): must be a network of /8 to /28`},
		{"pool of loopback", good + "pool: 127.0.0.0/16", nil, `pool: "127.0.0.0/16" (file FILE): is not a network for hosts; take one of your own, like 172.17.0.0/16`},
		{"prefix too short", good + "prefix: 16", nil, `prefix: 16 (file FILE): must be 17 to 29, longer than the pool 172.17.0.0/16`},
		{"prefix too long", good + "prefix: 30", nil, `prefix: 30 (file FILE): must be 17 to 29, longer than the pool 172.17.0.0/16`},
		{"bip outside the pool", good + "bip: 10.1.2.1/24", nil, `bip: "10.1.2.1/24" (file FILE): must be in the pool 172.17.0.0/16`},
		{"bip of another prefix", good + "bip: 172.17.42.1/25", nil, `bip: "172.17.42.1/25" (file FILE): must have the prefix length 24, which is what prefix says`},
		{"bip not the first", good + "bip: 172.17.42.9/24", nil, `bip: "172.17.42.9/24" (file FILE): must be the first address of its subnet: 172.17.42.1/24`},

		{"database", good + "ovs: {db: /var/run/db.sock}", nil, `ovs.db: "/var/run/db.sock" (file FILE): must be unix:PATH with an absolute path, or tcp:HOST:PORT`},
		{"datapath", good + "ovs: {datapath: dpdk}", nil, `ovs.datapath: "dpdk" (file FILE): must be one of "", "system", "netdev"`},
		{"long name", good + "ovs: {bridge: a-very-long-bridge}", nil, `ovs.bridge: "a-very-long-bridge" (file FILE): has 18 bytes; an interface name may have 15`},
		{"same bridge", good + "ovs: {bridge: docker0}", nil, `ovs.bridge: "docker0" (file FILE): must differ from docker.bridge: the one is Open vSwitch's, the other Docker's`},
		{"tunnel type", good + "tunnel: {type: stt}", nil, `tunnel.type: "stt" (file FILE): must be one of "gre", "vxlan", "geneve"`},
		{"gre key", good + "tunnel: {key: 4294967296}", nil, `tunnel.key: 4294967296 (file FILE): must be a whole number from 0 to 4294967295`},
		{"vxlan key", good + "tunnel: {type: vxlan, key: 16777216}", nil, `tunnel.key: 16777216 (file FILE): must be 0 to 16777215 for vxlan: a network identifier has 24 bits`},
		{"restart empty", good + "docker: {restart: []}", nil, `docker.restart: [] (file FILE): must be a command as a list, like [systemctl, restart, docker], or never`},
		{"restart quoted", good + `docker: {restart: "sh -c 'x'"}`, nil, `docker.restart: "sh -c 'x'" (file FILE): must be a command as a list, like [systemctl, restart, docker], or never`},
		{"networks", good + "masquerade: {nonMasqueradeCIDRs: [10.0.0.0/33]}", nil, `masquerade.nonMasqueradeCIDRs: [10.0.0.0/33] (file FILE): "10.0.0.0/33" is no CIDR: write one like 10.0.0.0/8`},
		{"network not masked", good + "masquerade: {nonmasqueradecidrs: [10.0.0.1/8]}", nil, `masquerade.nonMasqueradeCIDRs: [10.0.0.1/8] (file FILE): 10.0.0.1/8 has bits set behind its length: write 10.0.0.0/8, or a longer length`},
		{"masquerade file and keys", good + "masquerade: {config_file: /etc/masq, masqLinkLocal: false}", nil, `masquerade.config_file: "/etc/masq" (file FILE): and masquerade.masqLinkLocal exclude each other: write it into the file, or do without the file`},
		{"masquerade file and interval", good + "masquerade: {config_file: masq, resyncInterval: 1ms}", nil, "masquerade.resyncInterval: \"1ms\" (file FILE): 1ms is not allowed: write 1s or more\nmasquerade.config_file: \"masq\" (file FILE): must be an absolute path"},
		{"relative path", good + "state_dir: state", nil, `state_dir: "state" (file FILE): must be an absolute path`},
		{"long socket", good + "control: /" + strings.Repeat("x", 107), nil, `control: "/` + strings.Repeat("x", 107) + `" (file FILE): has 108 bytes; a unix socket's path may have 107`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "gremesh.yaml")
			if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file, true, agentFlags(t, c.args...))
			if err == nil {
				t.Fatal("was taken")
			}
			if diff := cmp.Diff(c.want, strings.ReplaceAll(err.Error(), file, "FILE")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	t.Setenv("GREMESH_MESH_JION", "h2")
	t.Setenv("GREMESH_PREFIX", "x")
	_, err := load(t, "mesh: {port: 0, jion: [a]}\npool: 10.0.0.0/33\nnode: {name: ''}")
	if err == nil {
		t.Fatal("was taken")
	}
	lines := strings.Split(err.Error(), "\n")
	var keys []string
	for _, line := range lines {
		key, _, _ := strings.Cut(line, " ")
		keys = append(keys, strings.TrimSuffix(key, ":"))
	}
	want := []string{"mesh.jion", "GREMESH_MESH_JION", "pool", "prefix", "node.name", "mesh.port", "mesh.join", "mesh.key_file"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("(-want +got):\n%s\nin:\n%s", diff, err)
	}
	if !strings.Contains(err.Error(), `prefix: "x" (environment GREMESH_PREFIX)`) {
		t.Errorf("the variable is not named in:\n%s", err)
	}
}

func TestABrokenFileIsNamed(t *testing.T) {
	_, err := load(t, "mesh: {port")
	if err == nil || !strings.Contains(err.Error(), "gremesh.yaml") {
		t.Errorf("error is %v", err)
	}
}

func TestSeedsAreCompleted(t *testing.T) {
	for seed, want := range map[string]string{
		"h2": "h2:7946", "h2:8000": "h2:8000", "10.90.0.1": "10.90.0.1:7946",
		"fd00::1": "[fd00::1]:7946", "[fd00::1]": "[fd00::1]:7946", "[fd00::1]:8000": "[fd00::1]:8000",
	} {
		if got, err := parseSeed(seed, 7946); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", seed, got, err, want)
		}
	}
}

func TestToldToJoinAHostFoundsNothing(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--join=10.0.0.1"}, false},
		{[]string{"--join=10.0.0.1", "--bootstrap"}, true},
	} {
		cfg, err := load(t, "mesh: {bootstrap: true, insecure: true}", append(c.args, "--name=h1")...)
		if err != nil || cfg.Mesh.Bootstrap != c.want {
			t.Errorf("%v: bootstrap is %t, %v", c.args, cfg.Mesh.Bootstrap, err)
		}
	}
}

func TestFlannelsLeaseIsImported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subnet.env")
	text := "FLANNEL_NETWORK=172.17.0.0/16\nFLANNEL_SUBNET=172.17.43.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(t, "lease_import: "+file, "--insecure", "--bootstrap", "--name=h1")
	if want := netip.MustParsePrefix("172.17.43.0/24"); err != nil || cfg.Imported != want {
		t.Errorf("imported %s, %v, want %s", cfg.Imported, err, want)
	}
	cfg, err = load(t, "lease_import: /nonexistent/subnet.env", "--insecure", "--bootstrap", "--name=h1")
	if err != nil || cfg.Imported.IsValid() {
		t.Errorf("after a reboot: %s, %v", cfg.Imported, err)
	}
	if _, err := load(t, "pool: 10.1.0.0/16\nlease_import: "+file, "--insecure", "--bootstrap", "--name=h1"); err == nil {
		t.Error("a subnet outside of the pool is imported")
	}
}
