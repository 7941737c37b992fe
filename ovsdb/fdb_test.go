package ovsdb_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/ovsdb"
)

// mac is the pinned address of docker0 on host n.
func mac(n int) ovsdb.MAC { return ovsdb.MAC{2, 0x42, 172, 17, byte(n), 1} }

// pinned is mesh with the entries that route: per-peer wants.
func pinned(peers ...int) ovsdb.Spec {
	s := mesh(peers...)
	for i, n := range peers {
		s.Tunnels[i].MAC = mac(n)
	}
	return s
}

// hasPinned is has with the entries, and what others have put there.
func hasPinned(want ovsdb.Spec, more map[ovsdb.MAC]int) ovsdb.State {
	have := has(want)
	have.Static = map[ovsdb.MAC]int{}
	for i, t := range want.Tunnels {
		if t.MAC != (ovsdb.MAC{}) {
			have.Static[t.MAC] = i + 1
		}
	}
	maps.Copy(have.Static, more)
	return have
}

func TestEntriesOfTheForwardingTable(t *testing.T) {
	add := func(port string, n int) string { return fmt.Sprintf("ovs-appctl fdb/add br0 %s 0 %s", port, mac(n)) }
	del := func(n int) string { return fmt.Sprintf("ovs-appctl fdb/del br0 0 %s", mac(n)) }
	byHand := func(have ovsdb.State) ovsdb.State { // gre1 leads to host 43
		p := foreign("br0", "gre1", "gre")
		p.Remote, p.OfPort = tunnel(43).Remote, 7
		have.Ports = append(have.Ports, p)
		return have
	}
	unknown := hasPinned(pinned(43), nil)
	unknown.Static = nil
	failed := hasPinned(mesh(43), nil)
	failed.Ports[1].OfPort = -1
	adopted := hasPinned(pinned(43), nil)
	adopted.Ports[1].Name, adopted.Ports[1].Interfaces, adopted.Ports[1].Adopted = "by-hand", []string{"by-hand"}, true
	moved := pinned(44)
	moved.Tunnels[0].Peer.ID, moved.Tunnels[0].Remote = tunnel(43).Peer.ID, tunnel(43).Remote
	inPlanned := hasPinned(pinned(43), nil)
	inPlanned.Ports[1].Mesh, inPlanned.Ports[1].Peer.ID = "", ""
	for name, c := range map[string]struct {
		want ovsdb.Spec
		have ovsdb.State
		do   []string // of ovs-appctl
	}{
		"all there":                       {pinned(43, 44), hasPinned(pinned(43, 44), nil), nil},
		"all lost":                        {pinned(44, 43), hasPinned(mesh(44, 43), nil), []string{add("gre43", 43), add("gre44", 44)}},
		"behind another tunnel":           {pinned(43, 44), hasPinned(pinned(43, 44), map[ovsdb.MAC]int{mac(43): 2}), []string{add("gre43", 43)}},
		"with a new port":                 {pinned(43, 44), hasPinned(pinned(43), nil), []string{add("gre44", 44)}},
		"with a new bridge":               {pinned(43), ovsdb.State{Static: map[ovsdb.MAC]int{}}, []string{add("gre43", 43)}},
		"not known":                       {pinned(43), unknown, nil},
		"a port that could not be set up": {pinned(43), failed, nil},
		"not wanted any more":             {mesh(43), hasPinned(pinned(43), nil), []string{del(43)}},
		"gone with their port":            {pinned(43), hasPinned(pinned(43, 44), nil), nil},
		"gone with the bridge":            {ovsdb.Spec{}, hasPinned(pinned(43), nil), nil},
		"another program's": {pinned(43), hasPinned(pinned(43), map[ovsdb.MAC]int{
			{0x52, 0x54}: 1, mac(77): 65534, mac(78): 99,
		}), nil},
		"a port by hand":               {pinned(43), byHand(hasPinned(mesh(), nil)), []string{add("gre1", 43)}},
		"a port by hand, and done":     {pinned(43), byHand(hasPinned(mesh(), map[ovsdb.MAC]int{mac(43): 7})), nil},
		"a port by hand, and leaving":  {ovsdb.Spec{}, byHand(hasPinned(mesh(), map[ovsdb.MAC]int{mac(43): 7})), []string{del(43)}},
		"a port by hand beside ours":   {pinned(43), byHand(hasPinned(pinned(43), nil)), nil},
		"an adopted port's peer moved": {moved, adopted, []string{add("by-hand", 44), del(43)}},
		"planned for who has not come": {pinned(44), inPlanned, []string{add("gre44", 44)}},
	} {
		t.Run(name, func(t *testing.T) {
			var do []string
			for _, line := range lines(ovsdb.Diff(c.want, c.have)) {
				if strings.HasPrefix(line, "ovs-appctl") {
					do = append(do, line)
				}
			}
			if d := cmp.Diff(c.do, do); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestStaticEntriesAreMadeAndHealed(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := pinned(43, 44)
	if n := reconcile(t, c, want); n != 7 {
		t.Errorf("%d changes, want a bridge, and for each of two peers a port, an entry and the flows", n)
	}
	settled(t, c, want)
	static := func() int { return strings.Count(o.fdb("fdb/show br0"), "static") }
	if static() != 2 {
		t.Errorf("two entries are wanted:\n%s", o.fdb("fdb/show br0"))
	}
	for _, damage := range []struct {
		name  string
		lines []string
		heard bool // by a row that changed
	}{
		{"deleted", []string{o.appctl("fdb/del br0 0 " + mac(43).String())}, false},
		{"given to another port", []string{o.appctl("fdb/add br0 gre44 0 " + mac(43).String())}, false},
		{"forgotten with another time of aging", []string{"ovs-vsctl set bridge br0 other_config:mac-aging-time=15"}, false},
		{"a port is not protected, and again", []string{"ovs-vsctl set port gre43 protected=false", "ovs-vsctl set port gre43 protected=true"}, true},
		{"a port of another type, and again", []string{"ovs-vsctl set interface gre43 type=vxlan", "ovs-vsctl set interface gre43 type=gre"}, true},
		{"a port made anew", []string{"ovs-vsctl del-port gre43"}, true},
	} {
		t.Run(damage.name, func(t *testing.T) {
			observe(t, c)
			o.vsctl(damage.lines...)
			if !damage.heard {
				c.Refresh()
			}
			eventually(t, soon, "the entry is missed", func() bool { return len(ovsdb.Diff(want, observe(t, c))) > 0 })
			reconcile(t, c, want)
			settled(t, c, want)
			if static() != 2 {
				t.Errorf("not healed:\n%s", o.fdb("fdb/show br0"))
			}
		})
	}
	t.Run("ovs-vswitchd restarted", func(t *testing.T) {
		o.kill(&o.switchd)
		if have := observe(t, c); have.Static != nil && len(ovsdb.Diff(want, have)) > 0 {
			t.Error("entries are missed while there is nobody to make them")
		}
		o.startSwitchd()
		eventually(t, soon, "the entries are missed", func() bool { return len(ovsdb.Diff(want, observe(t, c))) > 0 })
		reconcile(t, c, want)
		settled(t, c, want)
		if static() != 2 {
			t.Errorf("not healed:\n%s", o.fdb("fdb/show br0"))
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		reconcile(t, c, mesh(43, 44))
		if static() != 0 {
			t.Errorf("entries stay:\n%s", o.fdb("fdb/show br0"))
		}
	})
	t.Run("by a shell", func(t *testing.T) {
		o.shell(ovsdb.Diff(want, observe(t, c)))
		c.Refresh()
		settled(t, c, want)
	})
	t.Run("with their ports", func(t *testing.T) {
		reconcile(t, c, pinned(44))
		if static() != 1 {
			t.Errorf("entries stay:\n%s", o.fdb("fdb/show br0"))
		}
	})
}

// appctl is a command line for the test's own ovs-vswitchd.
func (o *ovs) appctl(command string) string {
	return "ovs-appctl -t $OVS_RUNDIR/ovs-vswitchd.$(cat $OVS_RUNDIR/ovs-vswitchd.pid).ctl " + command
}

func (o *ovs) fdb(command string) string { return o.vsctl(o.appctl(command)) }

func TestWhoCannotBeAskedIsLeftToLearn(t *testing.T) {
	o := startOVS(t)
	o.vsctl("ovs-appctl -t $OVS_RUNDIR/ovsdb-server.*.ctl ovsdb-server/add-remote punix:" + o.dir + "/away.sock; mkdir " + o.dir + "/d; mv " + o.dir + "/away.sock " + o.dir + "/d")
	o.DB = "unix:" + o.dir + "/d/away.sock" // no ovs-vswitchd beside it
	c := connect(t, o)
	want := pinned(43)
	reconcile(t, c, want)
	settled(t, c, want)
	if have := observe(t, c); have.Static != nil || !strings.Contains(have.StaticFDBError, "ovs-vswitchd.pid") {
		t.Errorf("learns: %q, static %v", have.StaticFDBError, slices.Collect(maps.Keys(have.Static)))
	}
}

func TestPurgingFlowsKeepsStaticEntries(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := pinned(43, 44)
	reconcile(t, c, want)
	settled(t, c, want)
	if err := c.PurgeFlows(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Refresh()
	if left := ovsdb.Diff(want, observe(t, c)); len(left) > 0 {
		t.Errorf("what was wanted before is missed now: %+v", left)
	}
}
