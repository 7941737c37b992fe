package ovsdb_test

import (
	"strings"
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

// back is how it was, as uninstall asks for it.
func back(t *testing.T, c *ovsdb.Client) ovsdb.Spec {
	t.Helper()
	former, err := c.Former()
	if err != nil {
		t.Fatal(err)
	}
	if former == nil {
		former = &ovsdb.Original{}
	}
	return ovsdb.Spec{Back: former}
}

func TestABridgeOfOthersIsMadeAsItWas(t *testing.T) {
	o := startOVS(t)
	for _, request := range []string{"1490", "[]"} {
		c := connect(t, o)
		o.vsctl("ovs-vsctl --may-exist add-br br0 -- set bridge br0 datapath_type=netdev -- set interface br0 mtu_request='" + request + "'")
		before := o.vsctl("ovs-vsctl get interface br0 mtu_request")
		want := mesh(43)
		want.Datapath = ""
		eventually(t, soon, "the bridge is seen", func() bool { return observe(t, c).Bridge.OfPort > 0 })
		reconcile(t, c, want)
		want.MTU = 1400 // what is kept is what was before the first change
		reconcile(t, c, want)
		if n := reconcile(t, c, back(t, c)); n != 2 {
			t.Errorf("%d changes, want a port and the MTU", n)
		}
		if is := o.vsctl("ovs-vsctl get interface br0 mtu_request"); is != before {
			t.Errorf("mtu_request was %s and is %s", before, is)
		}
		if n := reconcile(t, c, back(t, c)); n != 0 {
			t.Errorf("%d changes at a second time", n)
		}
	}
}

func TestABridgeThatOthersUseByNowStaysWithoutOurMark(t *testing.T) {
	o := startOVS(t)
	c := connect(t, o)
	reconcile(t, c, mesh(43))
	o.vsctl("ovs-vsctl add-port br0 theirs -- set interface theirs type=internal")
	eventually(t, soon, "their port is seen", func() bool { return len(observe(t, c).Ports) == 3 })
	if stays := ovsdb.Retained(observe(t, c)); len(stays) != 1 || !strings.Contains(stays[0], "theirs") {
		t.Errorf("%q", stays)
	}
	reconcile(t, c, back(t, c))
	have := observe(t, c)
	if !have.Bridge.Exists || have.Bridge.Ours || len(have.Ports) != 2 {
		t.Errorf("%+v", have)
	}
	if n := reconcile(t, c, back(t, c)); n != 0 {
		t.Errorf("%d changes at a second time", n)
	}
}
