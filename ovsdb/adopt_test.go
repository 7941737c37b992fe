package ovsdb_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestAdoptReadsLikeARunbook(t *testing.T) {
	alter := func(p ovsdb.Port, f func(*ovsdb.Port)) ovsdb.Port { f(&p); return p }
	gre1 := byHand("gre1", "192.168.248.43")
	keyed := mesh(43)
	keyed.Tunnels[0].Key = 7

	cases := map[string]struct {
		want  ovsdb.Spec
		ports []ovsdb.Port
	}{
		"the recipe's":        {mesh(43, 44), []ovsdb.Port{gre1, byHand("gre2", "192.168.248.44")}},
		"with gremesh's name": {mesh(43), []ovsdb.Port{byHand("gre43", "192.168.248.43")}},
		"protected already, with BFD and the local address": {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) {
			p.Protected, p.Tunnel.BFD, p.Local = true, true, netip.MustParseAddr("192.168.248.42")
		})}},
		"no tunnel":    {mesh(43), []ovsdb.Port{foreign("br0", "tap0", "internal"), foreign("br0", "br0", "internal")}},
		"no such host": {mesh(44), []ovsdb.Port{gre1}},
		"remote by flow": {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) {
			p.Remote, p.Unreadable = netip.Addr{}, map[string]string{"options:remote_ip": "flow"}
		})}},
		"another type":                    {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Type = "vxlan" })}},
		"another key":                     {keyed, []ovsdb.Port{gre1}},
		"unreadable key":                  {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Unreadable = map[string]string{"options:key": "flow"} })}},
		"another local":                   {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Local = netip.MustParseAddr("192.168.248.9") })}},
		"more options":                    {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Options = []string{"in_key", "tos"} })}},
		"two to one host":                 {mesh(43), []ovsdb.Port{gre1, byHand("gre2", "192.168.248.43")}},
		"another's name":                  {mesh(43, 44), []ovsdb.Port{byHand("gre44", "192.168.248.43")}},
		"a bond":                          {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Interfaces = []string{"a", "gre1"} })}},
		"broken":                          {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.OfPort, p.Error = -1, "File exists" })}},
		"gremesh's beside":                {mesh(43), []ovsdb.Port{gre1, has(mesh(43)).Ports[1]}},
		"on another bridge":               {mesh(43), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Bridge = "br1" })}},
		"of no concern on another bridge": {mesh(44), []ovsdb.Port{alter(gre1, func(p *ovsdb.Port) { p.Bridge = "br1" })}},
		"nothing wanted":                  {ovsdb.Spec{}, []ovsdb.Port{gre1}},
	}
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		changes, left := ovsdb.Adopt(cases[name].want, ovsdb.State{Ports: cases[name].ports})
		fmt.Fprintf(&got, "## %s\n", name)
		for _, c := range changes {
			fmt.Fprintf(&got, "# %s\n%s\n", c, strings.Join(c.Commands, "\n"))
		}
		for _, c := range left {
			fmt.Fprintf(&got, "# left: %s: %s\n#   %s\n", c.Key, c.What, c.Do)
		}
	}
	golden(t, "adopt", got.String())
}

// adopted is what gre1, made by hand, is after Adopt.
func adopted(want ovsdb.Spec, name string) ovsdb.State {
	have := has(want)
	p := &have.Ports[1]
	p.Name, p.Interfaces, p.Adopted = name, []string{name}, true
	return have
}

func TestAnAdoptedPortIsKeptByItsPeersID(t *testing.T) {
	was := adopted(mesh(43), "gre1")
	subnet := func(t *ovsdb.Tunnel) { t.Name, t.Peer.Subnet = "gre50", netip.MustParsePrefix("172.17.50.0/24") }
	for name, tc := range map[string]struct {
		change func(*ovsdb.Spec)
		want   []string
	}{
		"nothing has changed": {func(*ovsdb.Spec) {}, nil},
		"its peer has another subnet": {func(s *ovsdb.Spec) { subnet(&s.Tunnels[0]) },
			[]string{"ovs-vsctl set port gre1 external_ids:gremesh-subnet=172.17.50.0/24"}},
		"its peer has moved": {func(s *ovsdb.Spec) { s.Tunnels[0].Remote = netip.MustParseAddr("192.168.248.99") },
			[]string{"ovs-vsctl set interface gre1 options:remote_ip=192.168.248.99"}},
		"its peer has left":      {func(s *ovsdb.Spec) { s.Tunnels = nil }, []string{"ovs-vsctl del-port br0 gre1"}},
		"all is to be taken off": {func(s *ovsdb.Spec) { *s = ovsdb.Spec{} }, []string{"ovs-vsctl del-port br0 gre1", "ovs-vsctl del-br br0"}},
		// The new one is left to the next Diff.
		"its peer has another ID": {func(s *ovsdb.Spec) { s.Tunnels[0].Peer.ID = "new" }, []string{"ovs-vsctl del-port br0 gre1"}},
		"tunnels have another type": {func(s *ovsdb.Spec) { s.Tunnels[0].Name, s.Tunnels[0].Type = "vxlan43", "vxlan" },
			[]string{"del-port br0 gre1", "add-port br0 vxlan43"}},
		"its name is the one of its tunnel now": {func(s *ovsdb.Spec) { s.Tunnels[0].Name = "gre1" },
			[]string{"ovs-vsctl remove port gre1 external_ids gremesh-adopted"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := mesh(43)
			tc.change(&want)
			got := lines(ovsdb.Diff(want, was))
			if len(got) != len(tc.want) {
				t.Fatalf("%q, want %q", got, tc.want)
			}
			all := strings.Join(got, "\n")
			for _, line := range tc.want {
				if !strings.Contains(all, line) {
					t.Errorf("%q lacks %q", got, line)
				}
			}
			if c := ovsdb.Conflicts(want, was); len(c) > 0 {
				t.Errorf("conflicts: %+v", c)
			}
		})
	}
}

// A newcomer has the subnet 172.17.1.0/24, to which gre1 would lead.
func TestAnAdoptedPortGivesItsNameToTheTunnelThatNeedsIt(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev",
		"ovs-vsctl add-port br0 gre1 -- set interface gre1 type=gre options:remote_ip=192.168.248.43")
	want := mesh(43)
	adopt(t, c, want)
	newcomer := tunnel(44)
	newcomer.Name = "gre1"
	want.Tunnels = append(want.Tunnels, newcomer)
	reconcile(t, c, want)
	reconcile(t, c, want)
	settled(t, c, want)
	for name, peer := range map[string]string{"gre1": "id-h44", "gre43": "id-h43"} {
		if p := port(t, observe(t, c), name); p.Peer.ID != peer || p.Adopted || p.OfPort <= 0 || p.Error != "" {
			t.Errorf("%s is %+v", name, p)
		}
	}
}

func TestAdoptedPortsNeedNothingMoreAndGoWithGremesh(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev",
		"ovs-vsctl add-port br0 gre1 -- set interface gre1 type=gre options:remote_ip=192.168.248.43",
		"ovs-vsctl add-port br0 gre44 -- set interface gre44 type=gre options:remote_ip=192.168.248.44",
		"ovs-vsctl add-port br0 theirs -- set interface theirs type=gre options:remote_ip=192.168.248.9 -- set port theirs protected=true")
	want := mesh(43, 44)
	want.MTU = 0
	before := observe(t, c)
	if changes := ovsdb.Diff(want, before); len(changes) > 0 {
		t.Errorf("before: %v", changes)
	}
	theirs := o.vsctl("ovs-vsctl list port theirs; ovs-vsctl --columns=options,bfd list interface theirs")

	adopt(t, c, want)
	settled(t, c, want)
	have := observe(t, c)
	if left := ovsdb.Conflicts(want, have); len(left) > 0 {
		t.Errorf("conflicts: %+v", left)
	}
	for i, name := range []string{"gre1", "gre44"} {
		p := port(t, have, name)
		if !p.Ours || !p.Protected || !p.Tunnel.BFD || p.Adopted != (name == "gre1") || p.OfPort != port(t, before, name).OfPort || p.Peer != want.Tunnels[i].Peer {
			t.Errorf("%+v", p)
		}
	}
	if again, _ := ovsdb.Adopt(want, have); len(again) > 0 {
		t.Errorf("adopted again: %v", again)
	}

	reconcile(t, c, ovsdb.Spec{})
	if now := o.vsctl("ovs-vsctl list-ports br0"); now != "theirs" {
		t.Errorf("left behind: %s", now)
	}
	if now := o.vsctl("ovs-vsctl list port theirs; ovs-vsctl --columns=options,bfd list interface theirs"); now != theirs {
		t.Errorf("a port of others: %s", cmp.Diff(theirs, now))
	}
}

func adopt(t *testing.T, c *ovsdb.Client, want ovsdb.Spec) {
	t.Helper()
	changes, _ := ovsdb.Adopt(want, observe(t, c))
	if err := c.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}
