package ovsdb_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/ovsdb"
)

// hasBound is hasPinned with the flows of the same tunnels, and more of them.
func hasBound(want ovsdb.Spec, more ...ovsdb.Binding) ovsdb.State {
	have := hasPinned(want, nil)
	have.Forwarding = &ovsdb.Forwarding{Normal: true, Bindings: make(map[ovsdb.Binding]bool)}
	for _, t := range want.Tunnels {
		if t.MAC != (ovsdb.MAC{}) {
			more = append(more, ovsdb.Binding{MAC: t.MAC, From: t.Remote}, ovsdb.Binding{MAC: t.MAC})
		}
	}
	for _, b := range more {
		have.Forwarding.Bindings[b] = true
	}
	return have
}

func TestFlowsThatBindAddressesToTunnels(t *testing.T) {
	const forwards, drops = "ovs-ofctl add-flow br0 cookie=0x6772656d657368,priority=26482,tun_src=192.168.248.43,dl_src=02:42:ac:11:2b:01,actions=NORMAL",
		"ovs-ofctl add-flow br0 cookie=0x6772656d657368,priority=26481,dl_src=02:42:ac:11:2b:01,actions=drop"
	const notForwards, notDrops = "ovs-ofctl --strict del-flows br0 priority=26482,tun_src=192.168.248.43,dl_src=02:42:ac:11:2b:01",
		"ovs-ofctl --strict del-flows br0 priority=26481,dl_src=02:42:ac:11:2b:01"
	elsewhere := netip.MustParseAddr("192.168.248.9")
	none := hasPinned(pinned(43), nil)
	none.Forwarding = &ovsdb.Forwarding{Normal: true}
	unread := hasPinned(pinned(43), nil)
	unread.Forwarding = &ovsdb.Forwarding{Normal: true, Unread: "no"}
	failed := none
	failed.Ports = slices.Clone(none.Ports)
	failed.Ports[1].OfPort = -1
	byHand := none
	byHand.Ports = slices.Clone(none.Ports)
	byHand.Ports[1].Ours, byHand.Ports[1].Name = false, "gre1"
	theirs := hasBound(pinned(43))
	theirs.Bridge.Ours = false
	crowded := hasBound(pinned(43))
	crowded.Bridge.Ours, crowded.Forwarding.Count = false, 1
	v6 := pinned(43)
	v6.Tunnels[0].Remote = netip.MustParseAddr("fd00::2b")
	hasV6 := hasPinned(v6, nil)
	hasV6.Forwarding = &ovsdb.Forwarding{Normal: true}
	for name, c := range map[string]struct {
		want ovsdb.Spec
		have ovsdb.State
		do   []string // of ovs-ofctl
	}{
		"all there":          {pinned(43, 44), hasBound(pinned(43, 44)), nil},
		"none":               {pinned(43), none, []string{forwards, drops}},
		"half":               {pinned(43), hasBound(pinned(), ovsdb.Binding{MAC: mac(43)}), []string{forwards}},
		"IPv6":               {v6, hasV6, []string{"ovs-ofctl add-flow br0 cookie=0x6772656d657368,priority=26482,tun_ipv6_src=fd00::2b,dl_src=02:42:ac:11:2b:01,actions=NORMAL", drops}},
		"with a new bridge":  {pinned(43), ovsdb.State{Static: map[ovsdb.MAC]int{}}, []string{forwards, drops}},
		"nobody can be told": {pinned(43), ovsdb.State{}, nil},
		"not known":          {pinned(43), hasPinned(pinned(43), nil), nil},
		"refused":            {pinned(43), unread, nil},
		"from elsewhere too": {pinned(43), hasBound(pinned(43), ovsdb.Binding{MAC: mac(43), From: elsewhere}),
			[]string{"ovs-ofctl --strict del-flows br0 priority=26482,tun_src=192.168.248.9,dl_src=02:42:ac:11:2b:01"}},
		"a peer that has left":            {mesh(), hasBound(pinned(43)), []string{notDrops, notForwards}},
		"a port that could not be set up": {pinned(43), failed, nil},
		"a port by hand":                  {pinned(43), byHand, []string{forwards, drops}},
		"gone with the bridge":            {ovsdb.Spec{}, hasBound(pinned(43)), nil},
		"flows of others decide":          {pinned(43), crowded, []string{notDrops, notForwards}},
		"a bridge of others":              {ovsdb.Spec{}, theirs, []string{notDrops, notForwards}},
	} {
		t.Run(name, func(t *testing.T) {
			var do []string
			for _, line := range lines(ovsdb.Diff(c.want, c.have)) {
				if strings.HasPrefix(line, "ovs-ofctl") {
					do = append(do, strings.ReplaceAll(line, "'", ""))
				}
			}
			if d := cmp.Diff(c.do, do); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// traced reports whether br0 forwards a frame from a tunnel, or from docker0 if
// from is not valid.
func (o *ovs) traced(from netip.Addr, source ovsdb.MAC) bool {
	flow, to := "in_port=LOCAL", mac(43)
	if from.IsValid() {
		field := ",tun_src="
		if from.Is6() {
			field = ",tun_ipv6_src="
		}
		flow, to = "in_port=gre43"+field+from.String(), mac(42)
	}
	out := o.fdb("ofproto/trace br0 " + flow + ",dl_src=" + source.String() + ",dl_dst=" + to.String())
	return strings.Contains(out, "\n    NORMAL\n")
}

func TestAMemberSendsInItsOwnNameOnly(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := pinned(43, 44)
	reconcile(t, c, want)
	settled(t, c, want)
	h43, h44, container := want.Tunnels[0].Remote, want.Tunnels[1].Remote, ovsdb.MAC{2, 0x42, 172, 17, 43, 9}
	for _, f := range []struct {
		from   netip.Addr
		source ovsdb.MAC
		passes bool
	}{
		{h43, mac(43), true},
		{h44, mac(44), true},
		{h43, mac(44), false},
		{h44, mac(43), false},
		{netip.Addr{}, mac(43), false},
		{netip.Addr{}, mac(42), true},
		{h43, container, true}, // route: aggregate; nftables judges it
	} {
		if got := o.traced(f.from, f.source); got != f.passes {
			t.Errorf("from %s with %s: forwarded: %t", f.from, f.source, got)
		}
	}
}

func TestBindingsAreMendedAndGoWithTheirPeers(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := pinned(43, 44)
	want.Tunnels[1].Remote, want.Tunnels[1].Local = netip.MustParseAddr("fd00::2c"), netip.Addr{}
	reconcile(t, c, want)
	settled(t, c, want)
	ours := func() int { return strings.Count(o.vsctl("ovs-ofctl dump-flows br0"), "cookie=0x6772656d657368") }
	if ours() != 4 {
		t.Fatalf("flows are %s", o.vsctl("ovs-ofctl dump-flows br0"))
	}
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("conflicts are %+v", found)
	}
	o.vsctl("ovs-ofctl add-flow br0 priority=10,dl_src="+mac(7).String()+",actions=drop", "ovs-ofctl add-flow br0 actions=normal")
	c.Refresh()
	settled(t, c, want) // they are not gremesh's
	var others []string
	for _, found := range ovsdb.Conflicts(want, observe(t, c)) {
		others = append(others, found.What)
		_, command, _ := strings.Cut(found.Do, ": ")
		if strings.Contains(command, "--strict") {
			o.vsctl(command)
		}
	}
	if len(others) != 2 || !strings.Contains(others[0], "priority=10,dl_src=") || !strings.Contains(others[1], "the flow priority=32768,actions=NORMAL forwards frames of every tunnel") {
		t.Errorf("conflicts are %q", others)
	}
	o.vsctl("ovs-ofctl --strict del-flows br0 priority=10,dl_src=" + mac(7).String())
	c.Refresh()
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("afterwards: %+v", found)
	}
	damages := map[string]func(){
		"all flows deleted": func() { o.vsctl("ovs-ofctl del-flows br0") },
		"one deleted":       func() { o.vsctl("ovs-ofctl --strict del-flows br0 priority=26481,dl_src=" + mac(43).String()) },
		"one that others may use": func() {
			o.vsctl("ovs-ofctl add-flow br0 cookie=0x6772656d657368,priority=26482,tun_src=192.168.248.9,dl_src=" + mac(43).String() + ",actions=NORMAL")
		},
		"ovs-vswitchd restarted": func() { o.kill(&o.switchd); o.startSwitchd() },
	}
	for _, name := range slices.Sorted(maps.Keys(damages)) {
		t.Run(name, func(t *testing.T) {
			damages[name]()
			c.Refresh()
			eventually(t, soon, "it is missed", func() bool { return len(ovsdb.Diff(want, observe(t, c))) > 0 })
			eventually(t, soon, "it is mended", func() bool { return reconcile(t, c, want) == 0 && ours() == 4 })
		})
	}
	moved := pinned(43, 44)
	moved.Tunnels[0].Remote = netip.MustParseAddr("192.168.248.99")
	eventually(t, soon, "the peer has moved", func() bool { return reconcile(t, c, moved) == 0 })
	if !o.traced(moved.Tunnels[0].Remote, mac(43)) || o.traced(want.Tunnels[0].Remote, mac(43)) {
		t.Errorf("a peer that moved: flows are %s", o.vsctl("ovs-ofctl dump-flows br0"))
	}
	reconcile(t, c, pinned(43))
	if ours() != 2 {
		t.Errorf("a peer that left: flows are %s", o.vsctl("ovs-ofctl dump-flows br0"))
	}
}

func TestABridgeOfOthersIsLeftWithoutBindings(t *testing.T) {
	o := startOVS(t)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev")
	before := o.vsctl("ovs-ofctl --no-stats dump-flows br0")
	c := connect(t, o)
	want := pinned(43)
	want.MTU = 0
	reconcile(t, c, want)
	settled(t, c, want)
	if got := o.vsctl("ovs-ofctl --no-stats dump-flows br0"); got == before {
		t.Fatalf("flows are %s", got)
	}
	reconcile(t, c, ovsdb.Spec{})
	if got := o.vsctl("ovs-ofctl --no-stats dump-flows br0"); got != before {
		t.Errorf("flows were %s and are %s", before, got)
	}
}

// A flow that forwards would bypass the controller.
func TestABridgeOfAControllerGetsNoBindings(t *testing.T) {
	o := startOVS(t)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure")
	c := connect(t, o)
	want := pinned(43)
	want.MTU = 0
	reconcile(t, c, want)
	c.Refresh()
	settled(t, c, want)
	if got := o.vsctl("ovs-ofctl --no-stats dump-flows br0"); strings.Contains(got, "dl_src") {
		t.Errorf("flows are %s", got)
	}
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) == 0 {
		t.Error("nothing is reported")
	}
}

// shell runs the commands of changes.
func (o *ovs) shell(changes []ovsdb.Change) {
	var all []string
	for _, line := range lines(changes) {
		if command, is := strings.CutPrefix(line, "ovs-appctl "); is {
			line = o.appctl(command)
		}
		all = append(all, line)
	}
	o.vsctl(all...)
}
