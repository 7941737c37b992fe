package ovsdb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

func TestDeletedFlowsOfABridgeOfOursAreRestored(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	drain(c)
	eventually(t, 10*time.Second, "flows are read", func() bool { return observe(t, c).Forwarding != nil })
	o.vsctl("ovs-ofctl del-flows br0")
	// Nothing but the agent's own look can tell.
	eventually(t, 20*time.Second, "the missing flow is seen", func() bool { return len(ovsdb.Diff(want, observe(t, c))) > 0 })
	changes := ovsdb.Diff(want, observe(t, c))
	if len(changes) != 1 || changes[0].Object != "flow of bridge br0" {
		t.Fatalf("changes are %v", changes)
	}
	if err := c.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	settled(t, c, want)
	if got := o.vsctl("ovs-ofctl dump-flows br0 --no-stats"); !strings.Contains(got, "priority=0 actions=NORMAL") {
		t.Errorf("flows are %s", got)
	}
	o.vsctl("ovs-ofctl del-flows br0", changes[0].Commands[0])
	c.Refresh()
	settled(t, c, want)
}

func TestFlowsOfOthersAreReportedAndStay(t *testing.T) {
	for _, whose := range []string{"ours", "others'"} {
		t.Run(whose, func(t *testing.T) {
			o := startOVS(t)
			c := connect(t, o)
			want := mesh(43)
			if whose != "ours" {
				want.MTU = 0
				o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev")
			}
			reconcile(t, c, want)
			o.vsctl("ovs-ofctl add-flow br0 priority=9,ip,actions=drop")
			c.Refresh()
			if changes := ovsdb.Diff(want, observe(t, c)); len(changes) > 0 {
				t.Errorf("changes are %v", changes)
			}
			found := ovsdb.Conflicts(want, observe(t, c))
			if len(found) != 1 || !strings.Contains(found[0].What, "1 flow that is not gremesh's decides which packets pass, such as priority=9,ip,actions=drop") {
				t.Fatalf("conflicts are %+v", found)
			}
			_, command, _ := strings.Cut(found[0].Do, ": ")
			o.vsctl(command)
			c.Refresh()
			reconcile(t, c, want) // of ours the flow that forwards comes back
			if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
				t.Errorf("afterwards: %+v", found)
			}
			settled(t, c, want)
		})
	}
}

func TestAMissingFlowOfABridgeOfOthersIsReported(t *testing.T) {
	o := startOVS(t)
	o.vsctl("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev")
	c := connect(t, o)
	want := mesh(43)
	want.MTU = 0
	reconcile(t, c, want)
	o.vsctl("ovs-ofctl del-flows br0")
	c.Refresh()
	if changes := ovsdb.Diff(want, observe(t, c)); len(changes) > 0 {
		t.Errorf("changes are %v", changes)
	}
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 1 || !strings.Contains(found[0].What, "no flow forwards all packets") {
		t.Fatalf("conflicts are %+v", found)
	}
	o.vsctl(found[0].Do)
	c.Refresh()
	if found := ovsdb.Conflicts(want, observe(t, c)); len(found) > 0 {
		t.Errorf("after %s: %+v", found[0].Do, found)
	}
}

func TestFlagsOfPortsAreCleared(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := pinned(43, 44)
	eventually(t, soon, "nothing differs", func() bool { return reconcile(t, c, want) == 0 })
	for _, tt := range []struct{ action, port, object, is string }{
		{"no-receive", "gre43", "port gre43 flags", "no-receive"},
		{"no-forward", "gre43", "port gre43 flags", "no-forward"},
		{"no-flood", "gre44", "port gre44 flags", "no-flood"},
		{"no-receive", "br0", "port br0 flags", "no-receive"},
	} {
		t.Run(tt.action+" "+tt.port, func(t *testing.T) {
			o.vsctl("ovs-ofctl mod-port br0 " + tt.port + " " + tt.action)
			c.Refresh()
			changes := ovsdb.Diff(want, observe(t, c))
			if len(changes) != 1 || changes[0].Object != tt.object || changes[0].Is != tt.is {
				t.Fatalf("changes are %v", changes)
			}
			if err := c.Apply(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			settled(t, c, want)
			o.vsctl("ovs-ofctl mod-port br0 "+tt.port+" "+tt.action, changes[0].Commands[0])
			c.Refresh()
			settled(t, c, want)
		})
	}
}

func TestFlagsThatCannotBeReadAreReported(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	want := mesh(43)
	reconcile(t, c, want)
	o.vsctl("ovs-vsctl set bridge br0 protocols=OpenFlow13")
	c.Refresh()
	found := ovsdb.Conflicts(want, observe(t, c))
	if len(found) != 1 || !strings.Contains(found[0].What, "cannot read the OpenFlow flags") {
		t.Fatalf("conflicts are %+v", found)
	}
}

// BenchmarkReadForwarding is what the agent asks of ovs-vswitchd every few seconds
// at most: its version, flows and flags, and, here, static entries.
func BenchmarkReadForwarding(b *testing.B) {
	o := startOVS(b)
	c := connect(b, o)
	want := big(1000)
	eventually(b, 30*time.Second, "nothing differs", func() bool { return reconcile(b, c, want) == 0 })
	for b.Loop() {
		c.Refresh()
		observe(b, c)
	}
}
