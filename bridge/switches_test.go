package bridge

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// inMesh makes docker0 and br0 as they should be.
func inMesh(t *testing.T, k *Kernel) Spec {
	t.Helper()
	sh(t, "tap br0")
	if err := k.Apply(t.Context(), diff(t, k, want)); err != nil {
		t.Fatal(err)
	}
	if left := diff(t, k, want); len(left) > 0 {
		t.Fatalf("left: %v", left)
	}
	return want
}

func linkNamed(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSwitchesOfDevicesAreSetRight(t *testing.T) {
	k := namespace(t)
	want := inMesh(t, k)
	for _, tt := range []struct{ name, command, object string }{
		{"forwarding of docker0", "sysctl -qw net.ipv4.conf.docker0.forwarding=0", "sysctl net.ipv4.conf.docker0.forwarding"},
		{"isolated", "bridge link set dev br0 isolated on", "link br0 isolated"},
		{"neigh_suppress", "bridge link set dev br0 neigh_suppress on", "link br0 neigh_suppress"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sh(t, tt.command)
			changes := diff(t, k, want)
			if len(changes) != 1 || changes[0].Object != tt.object {
				t.Fatalf("changes are %v", changes)
			}
			if err := k.Apply(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			if left := diff(t, k, want); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			sh(t, tt.command+"; "+changes[0].Commands[0])
			if left := diff(t, k, want); len(left) > 0 {
				t.Errorf("left by the printed command: %v", left)
			}
		})
	}
}

// TestABlockedPortIsOpened uses a veth for the port, which has a carrier without
// a process behind it.
func TestABlockedPortIsOpened(t *testing.T) {
	k := namespace(t)
	want := inMesh(t, k)
	sh(t, "ip link add far type veth peer name near; ip link set near master docker0; ip link set near up; ip link set far up")
	l := linkNamed(t, "near")
	for _, tt := range []struct {
		name, command string
		want          PortBlocks
	}{
		{"open", "true", PortBlocks{}},
		{"disabled", "bridge link set dev near state 0", PortBlocks{State: "disabled"}},
		{"locked", "bridge link set dev near state 3 locked on", PortBlocks{Locked: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sh(t, tt.command)
			flags, err := portFlags(l)
			if err != nil {
				t.Fatal(err)
			}
			got := portBlocks(flags, true, false)
			if got != tt.want {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			mended := want
			mended.OVSPort = "near"
			have := State{OVSPort: Link{Name: "near", Exists: true, Master: "docker0"}, PortBlocks: got}
			for _, c := range diffBlocks(mended, have) {
				sh(t, c.Commands[0])
			}
			if flags, err = portFlags(l); err != nil {
				t.Fatal(err)
			}
			if left := portBlocks(flags, true, false); left != (PortBlocks{}) {
				t.Errorf("left: %+v", left)
			}
			sh(t, tt.command)
			if err := k.Apply(t.Context(), diffBlocks(mended, have)); err != nil {
				t.Fatal(err)
			}
			if flags, err = portFlags(l); err != nil {
				t.Fatal(err)
			}
			if left := portBlocks(flags, true, false); left != (PortBlocks{}) {
				t.Errorf("left by Apply: %+v", left)
			}
		})
	}
	if got := portBlocks(nil, false, false); got != (PortBlocks{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestSwitchesOfDockersBridgeAreReported(t *testing.T) {
	k := namespace(t)
	want := inMesh(t, k)
	for _, tt := range []struct{ name, command, object string }{
		{"spanning tree", "ip link set dev docker0 type bridge stp_state 1", "link docker0 stp_state"},
		{"no ARP", "ip link set dev docker0 arp off", "link docker0 arp"},
		{"arp_ignore", "sysctl -qw net.ipv4.conf.docker0.arp_ignore=8", "sysctl net.ipv4.conf.docker0.arp_ignore"},
		{"arp_ignore of all", "sysctl -qw net.ipv4.conf.all.arp_ignore=2", "sysctl net.ipv4.conf.all.arp_ignore"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sh(t, tt.command)
			have, err := k.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(have.Switches) != 1 || have.Switches[0].Object != tt.object {
				t.Fatalf("switches are %+v", have.Switches)
			}
			if changes := Diff(want, have); len(changes) > 0 {
				t.Errorf("changes are %v", changes)
			}
			sh(t, have.Switches[0].Do)
			if have, err = k.Observe(t.Context()); err != nil || len(have.Switches) > 0 {
				t.Errorf("after %s: %+v, %v", have.Switches[0].Do, have.Switches, err)
			}
		})
	}
}

func TestDevicesThatDoNotForwardAreNamed(t *testing.T) {
	namespace(t)
	sh(t, "ip link add eth7 type bridge; ip link add eth8 type bridge; sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.eth8.forwarding=0")
	if got := strings.Join(notForwarding([]string{"eth7", "eth8", "gone"}), " "); got != "eth8" {
		t.Errorf("got %q", got)
	}
}

func TestStatesOfAPortUnderATree(t *testing.T) {
	blocking := []syscall.NetlinkRouteAttr{{Attr: syscall.RtAttr{Type: brPortState}, Value: []byte{4}}}
	for _, tt := range []struct {
		name          string
		carrier, tree bool
		want          string
	}{{"blocking", true, false, "blocking"}, {"without a carrier", false, false, ""}, {"by the bridge's tree", true, true, ""}} {
		if got := portBlocks(blocking, tt.carrier, tt.tree); got.State != tt.want {
			t.Errorf("%s: state is %q", tt.name, got.State)
		}
	}
}

func TestOptionsOfABridgeAreRead(t *testing.T) {
	data := slices.Concat(nl.NewRtAttr(brSTPState, nl.Uint32Attr(1)).Serialize(), nl.NewRtAttr(brVLANFilter, []byte{1}).Serialize())
	if stp, vlans := optionsOf(data); !stp || !vlans {
		t.Errorf("stp %t, VLAN filter %t", stp, vlans)
	}
	if stp, vlans := optionsOf(nl.NewRtAttr(brVLANFilter, []byte{0}).Serialize()); stp || vlans {
		t.Errorf("of neither: stp %t, VLAN filter %t", stp, vlans)
	}
}
