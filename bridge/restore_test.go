package bridge

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// before is a host on which Docker ran before gremesh came.
func before() Original {
	return Original{
		Bridge: OriginalLink{Exists: true, MAC: "02:42:01:02:03:04", MTU: 1500, Up: true},
		Addrs:  prefixes("172.17.0.1/16"),
		Sysctls: map[string]string{
			sysctlForward:              "1",
			sysctlForwardOf("docker0"): "1",
			sysctlRedirects("all"):     "1",
			sysctlRedirects("docker0"): "1",
			sysctlNotify("docker0"):    "0",
		},
	}
}

const ours = `
# route 172.17.0.0/16: is 172.17.0.0/16 dev docker0 proto 77, should not exist
ip route del 172.17.0.0/16 dev docker0 proto 77
# link br0 master: is docker0, should not exist
ip link set dev br0 nomaster
`

const sysctlsBack = `# sysctl net.ipv4.conf.all.send_redirects: is 0, should be 1
sysctl -w net.ipv4.conf.all.send_redirects=1
# sysctl net.ipv4.conf.docker0.arp_notify: is 1, should be 0
sysctl -w net.ipv4.conf.docker0.arp_notify=0
# sysctl net.ipv4.conf.docker0.send_redirects: is 0, should be 1
sysctl -w net.ipv4.conf.docker0.send_redirects=1
`

func TestWhatWasBeforeIsPutBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		was   func(*RestoreSpec)
		spoil func(*State)
		plan  string
		stays []string
	}{
		{"Docker was there", func(*RestoreSpec) {}, func(*State) {}, ours + `# link docker0 address: is 02:42:ac:11:2a:01, should be 02:42:01:02:03:04
ip link set dev docker0 address 02:42:01:02:03:04
# link docker0 mtu: is 1462, should be 1500
ip link set dev docker0 mtu 1500
# address of docker0: is 172.17.42.1/24, should be 172.17.0.1/16
ip address add 172.17.0.1/16 broadcast + dev docker0
ip address del 172.17.42.1/24 dev docker0
` + sysctlsBack, nil},
		{"docker0 stays as it is", func(b *RestoreSpec) { b.KeepBridge = true }, func(*State) {}, ours + sysctlsBack, nil},
		{"it is as it was", func(*RestoreSpec) {}, func(a *State) {
			*a = State{
				Bridge:  Link{Name: "docker0", Exists: true, MAC: net.HardwareAddr{2, 0x42, 1, 2, 3, 4}, MTU: 1500, Up: true},
				OVSPort: Link{Name: "br0"}, Addrs: prefixes("172.17.0.1/16"), Sysctls: before().Sysctls,
			}
		}, "\n", nil},
		{"docker0 was made by gremesh", func(b *RestoreSpec) { b.Original.Bridge, b.Original.Addrs = OriginalLink{}, nil }, func(*State) {},
			ours + `# link docker0: is a bridge that gremesh made, should not exist
ip link del dev docker0
` + sysctlsBack, nil},
		{"docker0 was made by gremesh, and is needed", func(b *RestoreSpec) {
			b.Original.Bridge, b.Original.Addrs = OriginalLink{}, nil
			b.Original.Sysctls[sysctlForward], b.Original.Sysctls[sysctlForwardOf("docker0")] = "0", "0"
			b.Docker = true
		}, func(*State) {}, ours + sysctlsBack,
			[]string{"docker0, which gremesh made, stays with its address: dockerd uses it", "net.ipv4.ip_forward stays 1: dockerd needs it"}},
		{"docker0 was made by gremesh, and has containers", func(b *RestoreSpec) { b.Original.Bridge, b.Original.Addrs = OriginalLink{}, nil },
			func(a *State) { a.Attached = []string{"veth1"} }, ours + sysctlsBack,
			[]string{"docker0, which gremesh made, stays: veth1 are attached to it"}},
		{"forwarding was off", func(b *RestoreSpec) {
			b.Original.Sysctls = map[string]string{sysctlForward: "0", sysctlRedirects("docker0"): ""}
		}, func(a *State) {
			a.Bridge = Link{Name: "docker0"}
		}, ours + `# sysctl net.ipv4.ip_forward: is 1, should be 0
sysctl -w net.ipv4.ip_forward=0
`, nil},
		{"the recipe by hand", func(b *RestoreSpec) {
			b.KeepBridge = true
			b.Original.OVSPort = OriginalLink{Exists: true, MTU: 1500, Up: true, Master: "docker0"}
			b.Original.Routes = []Route{route("172.17.0.0/16", "", "docker0", 3, 0)}
			b.Original.Sysctls = nil
		}, func(*State) {}, `
# route 172.17.0.0/16: is 172.17.0.0/16 dev docker0 proto 77, should not exist
ip route del 172.17.0.0/16 dev docker0 proto 77
# link br0 mtu: is 1462, should be 1500
ip link set dev br0 mtu 1500
# route 172.17.0.0/16: is missing, should be 172.17.0.0/16 dev docker0 proto 3
ip route add 172.17.0.0/16 dev docker0 proto 3 scope link
`, nil},
		{"a link-local address where there was none", func(b *RestoreSpec) { b.Original.Sysctls = nil }, func(a *State) {
			*a = State{
				Bridge: Link{Name: "docker0", Exists: true, MAC: net.HardwareAddr{2, 0x42, 1, 2, 3, 4}, MTU: 1500, Up: true},
				Addrs:  prefixes("172.17.0.1/16"), Addrs6: prefixes("fe80::42:acff:fe11:2a01/64"),
			}
		}, `
# address of docker0: is fe80::42:acff:fe11:2a01/64, should not exist
sysctl -w net.ipv6.conf.docker0.disable_ipv6=1
sysctl -w net.ipv6.conf.docker0.disable_ipv6=0
`, nil},
		{"a bip of the same network, a MAC that is another's, a shared br0 that was down", func(b *RestoreSpec) {
			b.Original.Addrs = prefixes("172.17.42.254/24")
			b.Original.OVSPort = OriginalLink{Exists: true, MTU: 1462}
			b.Original.Sysctls = nil
		}, func(a *State) {
			a.Bridge.MAC, a.Bridge.MTU = net.HardwareAddr{2, 0x42, 10, 9, 9, 9}, 1500
			a.Addrs6 = prefixes("fe80::42:acff:fe11:2a01/64", "fe80::42:1ff:fe02:304/64")
		}, ours + `# address of docker0: is 172.17.42.1/24, should be 172.17.42.254/24
ip address del 172.17.42.1/24 dev docker0
ip address add 172.17.42.254/24 broadcast + dev docker0
# address of docker0: is fe80::42:acff:fe11:2a01/64, should not exist
ip address del fe80::42:acff:fe11:2a01/64 dev docker0
# link br0 state: is up, should be down
ip link set dev br0 down
`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have := clean()
			tt.spoil(&have)
			back := &RestoreSpec{Original: before(), Pool: want.Pool}
			tt.was(back)
			if d := cmp.Diff(strings.TrimPrefix(tt.plan, "\n"), render(Diff(Spec{Restore: back}, have))); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.stays, Stays(Spec{Restore: back}, have)); d != "" {
				t.Error(d)
			}
		})
	}
}

const look = `for l in docker0 br0; do ip -o link show $l | sed 's/^[0-9]*: //'; ip -o address show dev $l | sed 's/^[0-9]*: //'; done
ip route; sysctl -e net.ipv4.ip_forward net.ipv4.conf.all.send_redirects net.ipv4.conf.docker0.send_redirects net.ipv4.conf.docker0.arp_notify`

func TestTheKernelIsAsItWas(t *testing.T) {
	for name, made := range map[string]string{
		"nothing": "true",
		"Docker's bridge": `ip link add docker0 address 02:42:01:02:03:04 type bridge
			ip link set docker0 up; ip address add 172.17.0.1/16 broadcast + dev docker0`,
		"the recipe": `ip link add docker0 address 02:42:01:02:03:04 type bridge; tap br0
			ip link set docker0 up; ip link set br0 up; ip address add 172.17.42.254/24 broadcast + dev docker0
			ip link set br0 master docker0; ip route add 172.17.0.0/16 dev docker0 proto static scope link`,
	} {
		t.Run(name, func(t *testing.T) {
			k := namespace(t)
			sh(t, made)
			was := sh(t, look)
			sh(t, "ip link show br0 2>/dev/null || tap br0") // as Open vSwitch does
			if err := k.SaveOriginal(t.Context()); err != nil {
				t.Fatal(err)
			}
			reach(t, k, want)
			k = New(k.cfg)
			if err := k.SaveOriginal(t.Context()); err != nil {
				t.Fatal(err)
			}
			first, err := os.ReadFile(filepath.Join(k.cfg.StateDir, StateFile))
			if err != nil {
				t.Fatal(err)
			}
			sh(t, "ip link set docker0 address 02:42:09:09:09:09")
			reach(t, k, want)
			if again, err := os.ReadFile(filepath.Join(k.cfg.StateDir, StateFile)); err != nil || string(again) != string(first) {
				t.Errorf("what was before is now\n%s, was\n%s, %v", again, first, err)
			}

			former, err := k.Former()
			if err != nil {
				t.Fatal(err)
			}
			nothing := Spec{Restore: &RestoreSpec{Original: *former, Pool: want.Pool}}
			for range 2 { // an address that goes takes routes with it
				if err := k.Apply(t.Context(), diff(t, k, nothing)); err != nil {
					t.Fatal(err)
				}
			}
			if left := diff(t, k, nothing); len(left) > 0 {
				t.Errorf("still there: %s", render(left))
			}
			if !strings.Contains(made, "br0") {
				sh(t, "ip link del br0") // as Open vSwitch does
			}
			if d := cmp.Diff(was, sh(t, look)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestThatItCanNotBeKeptIsAnError(t *testing.T) {
	k := namespace(t)
	k.cfg.StateDir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(k.cfg.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.SaveOriginal(t.Context()); err == nil || !strings.Contains(err.Error(), "before gremesh") {
			t.Error(err)
		}
	}
}

func TestASysctlThatIsLearntLaterIsAdded(t *testing.T) {
	k := namespace(t)
	was := before()
	was.Sysctls = map[string]string{sysctlRedirects("all"): "1"}
	if err := k.keep(was); err != nil {
		t.Fatal(err)
	}
	if err := k.SaveOriginal(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err := k.Former()
	if err != nil {
		t.Fatal(err)
	}
	was.Sysctls[sysctlForward], was.Sysctls[sysctlRedirects("docker0")], was.Sysctls[sysctlNotify("docker0")] = "0", "", ""
	was.Sysctls[sysctlForwardOf("docker0")] = ""
	if d := cmp.Diff(was, *now, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestAHostFileWithoutSysctlsIsCompleted(t *testing.T) {
	k := namespace(t)
	if err := os.WriteFile(filepath.Join(k.cfg.StateDir, StateFile), []byte(`{"bridge": {"exists": false}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.SaveOriginal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := k.Former(); err != nil || f.Sysctls[sysctlForward] != "0" {
		t.Errorf("got %+v, %v", f, err)
	}
}
