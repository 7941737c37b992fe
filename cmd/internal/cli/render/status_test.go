package render

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func aloneStatus() mesh.Status {
	return mesh.Status{
		Host: mesh.HostStatus{
			ID:       "9f1c2a34b7d05e68",
			Name:     "h1",
			Underlay: netip.MustParseAddr("192.168.248.139"),
			Subnet:   netip.MustParsePrefix("172.17.42.0/24"),
			Bip:      netip.MustParsePrefix("172.17.42.1/24"),
			MTU:      1458,
			Lease:    "held",
			Version:  "v0.1.0",
			Since:    time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC),
		},
		Mesh: mesh.TotalStatus{ID: "c0ffee5511223344", Pool: netip.MustParsePrefix("172.17.0.0/16"), Hosts: 1, Tunnel: mesh.TunnelKind{Type: "gre", Keyed: true}, SettingsVersion: 1},
	}
}

func wholeStatus() mesh.Status {
	s := aloneStatus()
	s.Mesh.Hosts, s.Mesh.Tunnels, s.Mesh.TunnelsUp = 3, 6, 6
	for i, name := range []string{"h2", "h3"} {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, byte(43 + i), 0}), 24)
		s.Peers = append(s.Peers, mesh.PeerStatus{
			ID: "id-of-" + name, Name: name, State: "alive", Subnet: subnet,
			Underlay: netip.AddrFrom4([4]byte{192, 168, 248, byte(140 + i)}), Via: mesh.ViaTunnel,
			Tunnel: mesh.TunnelStatus{Port: []string{"gre43", "gre44"}[i], Type: "gre", BFD: "up", RxBytes: 1 << (10 * (i + 1)), TxBytes: 1023},
			Path:   &mesh.PathStatus{Up: true, RoundTrip: []float64{0.000312, 0.0421}[i], Since: &s.Host.Since},
		})
	}
	s.Host.Tunnels = mesh.TunnelsStatus{Up: 2, Wanted: 2}
	return s
}

func troubledStatus() mesh.Status {
	s := wholeStatus()
	s.Mesh.Hosts, s.Mesh.Failed, s.Mesh.Tunnels, s.Mesh.TunnelsUp = 3, 1, 6, 4
	s.Host.Tunnels = mesh.TunnelsStatus{Up: 0, Wanted: 3}
	s.Host.MTU, s.Mesh.Tunnel = 1450, mesh.TunnelKind{Type: "gre", Fallback: []string{"vxlan"}}
	s.Peers[0].State, s.Peers[0].Tunnel.BFD = "failed", "down"
	s.Peers[0].Path = &mesh.PathStatus{Loss: 1, Since: &s.Host.Since}
	s.Peers[1].Path.SmallOnly, s.Peers[1].Path.Loss = true, 0.15
	s.Peers[0].Indirect = "it takes no direct packets"
	s.Peers[1].Via = mesh.ViaDirect
	s.Peers = append(s.Peers,
		mesh.PeerStatus{
			ID: "id-of-h4", Name: "h4", State: "alive",
			Underlay: netip.MustParseAddr("192.168.248.142"),
			Tunnel:   mesh.TunnelStatus{},
		},
		mesh.PeerStatus{
			ID: "id-of-h5", Name: "h5", State: "alive",
			Underlay: netip.MustParseAddr("192.168.248.143"),
			Subnet:   netip.MustParsePrefix("172.17.46.0/24"),
			Tunnel:   mesh.TunnelStatus{Port: "gre46", Type: "gre", Error: "could not add network device gre46 to ofproto (File exists)"},
		})
	s.Problems = []mesh.Problem{
		{What: "no packets pass the tunnel to h2 (192.168.248.140), though its agent can be reached", Do: "let IP protocol 47 pass between the hosts,\nor set tunnel.type: vxlan on all of them"},
		{What: "Docker must be restarted to take the bip 172.17.42.1/24"},
	}
	return s
}

func waitingStatus() mesh.Status {
	s := aloneStatus()
	s.Host.Subnet, s.Host.Bip, s.Host.MTU = netip.Prefix{}, netip.Prefix{}, 0
	s.Host.Lease, s.Host.Waiting = "waiting", "no seed answers"
	s.Mesh = mesh.TotalStatus{Pool: s.Mesh.Pool, Hosts: 1}
	s.Problems = []mesh.Problem{{What: "no seed answers: 192.168.248.140:7946", Do: "check that the agent runs there, and that TCP and UDP port 7946 are open"}}
	return s
}

func TestStatusReadsWell(t *testing.T) {
	for name, s := range map[string]mesh.Status{
		"status_alone.txt":    aloneStatus(),
		"status_whole.txt":    wholeStatus(),
		"status_troubled.txt": troubledStatus(),
		"status_waiting.txt":  waitingStatus(),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, Status(s, false)) })
	}
}

func TestAuditReadsWell(t *testing.T) {
	drifted := mesh.Audit{Drift: []drift.Drift{
		{Object: "port gre43", Should: "type=gre remote_ip=192.168.248.140"},
		{Object: "route 172.17.0.0/16", Is: "dev eth0", Should: "dev docker0 proto 77"},
		{Object: "port gre99", Is: "type=gre remote_ip=192.168.248.199"},
	}}
	problem := []mesh.Problem{{What: "Open vSwitch does not answer at unix:/var/run/openvswitch/db.sock", Do: "systemctl start openvswitch-switch"}}
	for name, a := range map[string]mesh.Audit{
		"audit_clean.txt":   {},
		"audit_drift.txt":   drifted,
		"audit_unknown.txt": {Problems: problem},
		"audit_both.txt":    {Drift: drifted.Drift[:1], Problems: problem},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, Audit(a, false)) })
	}
}

func TestColoursChangeNothingButColours(t *testing.T) {
	plain, coloured := Status(troubledStatus(), false), Status(troubledStatus(), true)
	if plain == coloured {
		t.Fatal("there are no colours")
	}
	for _, escape := range []string{"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"} {
		coloured = strings.ReplaceAll(coloured, escape, "")
	}
	if diff := cmp.Diff(plain, coloured); diff != "" {
		t.Errorf("(-plain +coloured):\n%s", diff)
	}
	if strings.Contains(plain, "\x1b") {
		t.Error("there are colours where none were wanted")
	}
}

func TestBytesAreReadable(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := byteCount(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
