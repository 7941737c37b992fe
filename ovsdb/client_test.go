package ovsdb_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestFirstApplyMakesAllAndTheSecondNothing(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43, 44)
	if n := reconcile(t, c, want); n != 3 {
		t.Errorf("%d changes, want a bridge and two ports", n)
	}

	have := observe(t, c)
	if b := have.Bridge; !b.Exists || !b.Ours || b.Datapath != "netdev" || b.FailMode != "standalone" || b.MTU != 1462 || b.OfPort <= 0 {
		t.Errorf("bridge is %+v", b)
	}
	for i, name := range []string{"gre43", "gre44"} {
		p := port(t, have, name)
		if diff := cmp.Diff(want.Tunnels[i], p.Tunnel, cmp.Comparer(sameAddr), cmp.Comparer(samePrefix)); diff != "" {
			t.Error(diff)
		}
		if !p.Ours || !p.Protected || p.OfPort <= 0 || p.Error != "" || p.Bridge != "br0" || p.Mesh != "blue" {
			t.Errorf("port is %+v", p)
		}
		// The session's state comes a moment after the port.
		eventually(t, soon, "BFD session of "+name, func() bool {
			return port(t, observe(t, c), name).BFD.State == "down"
		})
	}
	if found := ovsdb.Conflicts(want, have); len(found) > 0 {
		t.Errorf("conflicts: %v", found)
	}
	if n := reconcile(t, c, want); n != 0 {
		t.Errorf("second pass makes %d changes", n)
	}

	traffic, err := c.Traffic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := traffic["gre43"]; !ok {
		t.Errorf("no traffic counted for gre43: %v", traffic)
	}
}

func TestHandMadeChangesAreMended(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43, 44)
	reconcile(t, c, want)
	for _, tc := range []struct{ name, command, object string }{
		{"protected off", "ovs-vsctl set port gre43 protected=false", "port gre43 protected"},
		{"remote_ip changed", "ovs-vsctl set interface gre43 options:remote_ip=192.0.2.9", "interface gre43 options:remote_ip"},
		{"remote_ip is no address", "ovs-vsctl set interface gre43 options:remote_ip=flow", "interface gre43 options:remote_ip"},
		{"local_ip removed", "ovs-vsctl remove interface gre43 options local_ip", "interface gre43 options:local_ip"},
		{"key added", "ovs-vsctl set interface gre43 options:key=7", "interface gre43 options:key"},
		{"key is no number", "ovs-vsctl set interface gre43 options:key=flow", "interface gre43 options:key"},
		{"type changed", "ovs-vsctl set interface gre43 type=vxlan", "interface gre43 type"},
		{"BFD off", "ovs-vsctl set interface gre43 bfd:enable=false", "interface gre43 bfd:enable"},
		{"peer's name changed", "ovs-vsctl set port gre43 external_ids:gremesh-name=nobody", "port gre43 external_ids:gremesh-name"},
		{"peer's subnet garbled", "ovs-vsctl set port gre43 external_ids:gremesh-subnet=here", "port gre43 external_ids:gremesh-subnet"},
		{"another mesh", "ovs-vsctl set port gre43 external_ids:gremesh=red", "port gre43 external_ids:gremesh"},
		{"port deleted", "ovs-vsctl del-port br0 gre44", "port gre44"},
		{"port moved", "ovs-vsctl --no-wait add-br br1 -- set bridge br1 datapath_type=netdev -- del-port gre44 -- add-port br1 gre44 -- " +
			"set port gre44 external_ids:gremesh=blue", "port gre44"},
		{"fail_mode secure", "ovs-vsctl set-fail-mode br0 secure", "bridge br0 fail_mode"},
		{"mtu_request gone", "ovs-vsctl clear interface br0 mtu_request", "interface br0 mtu_request"},
		{"bridge deleted", "ovs-vsctl del-br br0", "bridge br0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o.vsctl(tc.command)
			changes := ovsdb.Diff(want, observe(t, c))
			if len(changes) == 0 || changes[0].Object != tc.object {
				t.Errorf("changes are %v, want %s", changes, tc.object)
			}
			if err := c.Apply(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			settled(t, c, want)
		})
	}
}

func TestOptionsOfTheOperatorStay(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	o.vsctl("ovs-vsctl set interface gre43 options:csum=true bfd:min_tx=300 -- set port gre43 external_ids:owner=me")
	want := mesh(43)
	want.Tunnels[0].Remote, want.Tunnels[0].Key, want.Tunnels[0].BFD = netip.MustParseAddr("192.0.2.9"), 7, false
	reconcile(t, c, want)
	settled(t, c, want)
	got := o.vsctl("ovs-vsctl get interface gre43 options bfd -- get port gre43 external_ids:owner")
	if want := `{csum="true", key="7", local_ip="192.168.248.42", remote_ip="192.0.2.9"}` + "\n" + `{min_tx="300"}` + "\nme"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestForeignPortsSurviveEverything(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43, 44))
	o.vsctl(
		"ovs-vsctl add-port br0 theirs -- set interface theirs type=internal",
		"ovs-vsctl add-port br0 gre99 -- set interface gre99 type=gre options:remote_ip=192.0.2.99",
		"ovs-vsctl add-br br9 -- set bridge br9 datapath_type=netdev",
		"ovs-vsctl add-bond br9 bond0 b0 b1 -- set interface b0 type=internal -- set interface b1 type=internal")
	for _, want := range []ovsdb.Spec{mesh(43, 44), mesh(45), {}} {
		reconcile(t, c, want)
		settled(t, c, want)
		if got := o.vsctl("ovs-vsctl list-ports br0 | grep -v gre4 | xargs; ovs-vsctl list-ports br9 | xargs"); got != "gre99 theirs\nbond0" {
			t.Errorf("ports of others are %q", got)
		}
	}
	if got := o.vsctl("ovs-vsctl list-ports br0 | xargs"); got != "gre99 theirs" {
		t.Errorf("ports left on br0: %q", got)
	}
	o.vsctl("ovs-vsctl del-port theirs -- del-port gre99")
	reconcile(t, c, ovsdb.Spec{})
	if got := o.vsctl("ovs-vsctl list-br | xargs"); got != "br9" {
		t.Errorf("bridges left: %q", got)
	}
}

func TestABridgeOfOthersIsShared(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure")
	want := mesh(43)
	reconcile(t, c, want)
	settled(t, c, want)
	if got := o.vsctl("ovs-vsctl get-fail-mode br0; ovs-vsctl list-ports br0; ovs-vsctl get interface br0 mtu_request"); got != "secure\ngre43\n1462" {
		t.Errorf("got %q", got)
	}
	reconcile(t, c, ovsdb.Spec{})
	if got := o.vsctl("ovs-vsctl list-br; ovs-vsctl list-ports br0"); got != "br0" {
		t.Errorf("got %q", got)
	}
}

func TestAnotherBridgeNameMovesTheTunnels(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br old -- set bridge old datapath_type=netdev external_ids:gremesh=blue",
		"ovs-vsctl --no-wait add-port old gre43 -- set port gre43 external_ids:gremesh=blue",
		"ovs-vsctl --no-wait add-port old gre77 -- set port gre77 external_ids:gremesh=blue")
	reconcile(t, c, mesh(43))
	settled(t, c, mesh(43))
	if got := o.vsctl("ovs-vsctl list-br; ovs-vsctl list-ports br0"); got != "br0\ngre43" {
		t.Errorf("got %q", got)
	}
}

func TestAnIdentityClashIsAConflict(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev",
		"ovs-vsctl add-port br0 gre1 -- set interface gre1 type=gre options:remote_ip=192.168.248.43",
		"ovs-vsctl add-port br0 gre44 -- set interface gre44 type=internal")
	want := mesh(43, 44, 45)
	reconcile(t, c, want)
	settled(t, c, want)
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 2 || found[0].Key.String() != "port gre43" || !strings.Contains(found[0].What, "port gre1 on br0") ||
		found[1].Key.String() != "port gre44" || !strings.Contains(found[1].Do, "ovs-vsctl del-port br0 gre44") {
		t.Errorf("conflicts are %+v", found)
	}
	o.vsctl("ovs-vsctl del-port gre1 -- del-port gre44")
	if n := reconcile(t, c, want); n != 2 {
		t.Errorf("%d changes after the conflicts are gone, want 2", n)
	}
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) != 0 {
		t.Errorf("conflicts are %+v", found)
	}
}

func TestWhatOVSRefusesIsToldInItsWords(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43, 44)
	want.Tunnels[1].Remote = want.Tunnels[0].Remote
	reconcile(t, c, want)
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 1 || !strings.Contains(found[0].What, "exists") {
		t.Errorf("conflicts are %+v", found)
	}

	o.vsctl("ovs-vsctl --no-wait add-br br1")
	bad := ovsdb.New(ovsdb.Config{DB: o.DB, Bridge: "br1", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	run(t, bad)
	eventually(t, soon, "the second client is connected", func() bool {
		have, err := bad.Observe(t.Context())
		return err == nil && have.Bridge.Exists
	})
	sw := ovsdb.Spec{Bridge: "br1", Datapath: "netdev"}
	if found := ovsdb.Conflicts(sw, observe(t, bad)); len(found) != 1 || found[0].Key.String() != "bridge br1" {
		t.Errorf("conflicts are %+v", found)
	}
}

func TestChangesToWhatIsGoneAreAnError(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	changes := ovsdb.Diff(mesh(43, 44), observe(t, c))
	o.vsctl("ovs-vsctl del-br br0")
	if err := c.Apply(t.Context(), changes); err == nil || !strings.Contains(err.Error(), "port gre44") {
		t.Errorf("error is %v", err)
	}
}
