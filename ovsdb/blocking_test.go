package ovsdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

// blocking are settings that stop packets: the command that makes one and the
// object that must be named. Those of a bridge are tried on one of ours and on
// another.
var blocking = []struct{ name, command, object string }{
	{"spanning tree", "ovs-vsctl set bridge br0 stp_enable=true", "bridge br0 stp_enable"},
	{"rapid spanning tree", "ovs-vsctl set bridge br0 rstp_enable=true", "bridge br0 rstp_enable"},
	{"controller", "ovs-vsctl set-controller br0 tcp:127.0.0.1:1", "bridge br0 controller"},
	{"fail_mode", "ovs-vsctl set-fail-mode br0 secure", "bridge br0 fail_mode"},
	{"multicast snooping", "ovs-vsctl set bridge br0 mcast_snooping_enable=true", "bridge br0 mcast_snooping_enable"},
	{"flood_vlans", "ovs-vsctl set bridge br0 flood_vlans=0,7", "bridge br0 flood_vlans"},
	{"tag of its own port", "ovs-vsctl set port br0 tag=7", "port br0 tag"},
	{"QoS of its own port", "ovs-vsctl set port br0 qos=@q -- --id=@q create qos type=linux-htb other-config:max-rate=8", "port br0 qos"},
	{"policing of its own port", "ovs-vsctl set interface br0 ingress_policing_rate=1", "interface br0 ingress_policing_rate"},
}

var blockingTunnel = []struct{ name, command, object string }{
	{"tag", "ovs-vsctl set port gre43 tag=7", "port gre43 tag"},
	{"trunks", "ovs-vsctl set port gre43 trunks=7,8", "port gre43 trunks"},
	{"vlan_mode", "ovs-vsctl set port gre43 vlan_mode=dot1q-tunnel", "port gre43 vlan_mode"},
	{"qos", "ovs-vsctl set port gre43 qos=@q -- --id=@q create qos type=linux-htb", "port gre43 qos"},
	{"lacp", "ovs-vsctl set port gre43 lacp=active", "port gre43 lacp"},
	{"priority tags", "ovs-vsctl set port gre43 other_config:priority-tags=always", "port gre43 other_config:priority-tags"},
	{"policing", "ovs-vsctl set interface gre43 ingress_policing_rate=1", "interface gre43 ingress_policing_rate"},
	{"BFD's key", "ovs-vsctl set interface gre43 bfd:check_tnl_key=true", "interface gre43 bfd:check_tnl_key"},
	{"in_key", "ovs-vsctl set interface gre43 options:in_key=7", "interface gre43 options:in_key"},
	{"out_key", "ovs-vsctl set interface gre43 options:out_key=7", "interface gre43 options:out_key"},
	{"ttl", "ovs-vsctl set interface gre43 options:ttl=1", "interface gre43 options:ttl"},
	{"packet type", "ovs-vsctl set interface gre43 options:packet_type=legacy_l3", "interface gre43 options:packet_type"},
	{"sequence numbers", "ovs-vsctl set interface gre43 options:seq=true", "interface gre43 options:seq"},
}

func TestWhatBlocksPacketsOnABridgeOfOursIsMended(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	for _, tt := range append(blocking, blockingTunnel...) {
		t.Run(tt.name, func(t *testing.T) {
			o.vsctl(tt.command)
			changes := ovsdb.Diff(want, observe(t, c))
			if len(changes) != 1 || changes[0].Object != tt.object {
				t.Fatalf("changes are %v, want %s", changes, tt.object)
			}
			if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
				t.Errorf("conflicts: %+v", found)
			}
			o.vsctl(changes[0].Commands[0])
			settled(t, c, want) // by the printed command
			o.vsctl(tt.command)
			if err := c.Apply(t.Context(), ovsdb.Diff(want, observe(t, c))); err != nil {
				t.Fatal(err)
			}
			settled(t, c, want) // and by Apply
		})
	}
}

func TestWhatBlocksPacketsOnABridgeOfOthersIsReported(t *testing.T) {
	o := startOVS(t)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev")
	c := connect(t, o)
	want := mesh(43)
	want.MTU = 0
	reconcile(t, c, want)
	for _, tt := range blocking {
		t.Run(tt.name, func(t *testing.T) {
			o.vsctl(tt.command)
			have := observe(t, c)
			if changes := ovsdb.Diff(want, have); len(changes) > 0 {
				t.Errorf("changes are %v", changes)
			}
			found := ovsdb.Conflicts(want, have)
			if len(found) != 1 || !strings.HasPrefix(tt.object, found[0].Key.String()+" ") || !strings.Contains(found[0].What, " is ") {
				t.Fatalf("conflicts are %+v, want %s", found, tt.object)
			}
			o.vsctl(found[0].Do)
			if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
				t.Errorf("after %s: %+v", found[0].Do, found)
			}
		})
	}
}

func TestAMirrorThatReservesATunnelIsReported(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	o.vsctl("ovs-vsctl add-port br0 tap9 -- set interface tap9 type=internal",
		"ovs-vsctl -- --id=@p get port tap9 -- --id=@m create mirror name=span select-all=true output-port=@p -- set bridge br0 mirrors=@m")
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("a mirror to a port of its own: %+v", found)
	}
	o.vsctl("ovs-vsctl -- --id=@p get port gre43 -- set mirror span output-port=@p")
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 1 || !strings.Contains(found[0].What, "mirror span has the output port gre43") {
		t.Fatalf("conflicts are %+v", found)
	}
	if changes := ovsdb.Diff(want, observe(t, c)); len(changes) > 0 {
		t.Errorf("changes are %v", changes)
	}
	o.vsctl(found[0].Do)
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("after its removal: %+v", found)
	}
}

func TestWaitingForARestoreOfFlowsIsReported(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	drain(c)
	o.vsctl("ovs-vsctl --no-wait set open_vswitch . other_config:flow-restore-wait=true")
	select {
	case <-c.Changed():
	case <-time.After(soon):
		t.Error("no wake-up")
	}
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 1 || !strings.Contains(found[0].What, "flow-restore-wait") {
		t.Fatalf("conflicts are %+v", found)
	}
	o.vsctl(found[0].Do)
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("after its removal: %+v", found)
	}
}
