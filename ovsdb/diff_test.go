package ovsdb_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/ovsdb"
)

var update = flag.Bool("update", false, "write the golden files anew")

func itoa(n int) string { return strconv.Itoa(n) }

func sameAddr(a, b netip.Addr) bool     { return a == b }
func samePrefix(a, b netip.Prefix) bool { return a == b }

// big is a mesh of n peers.
func big(n int) ovsdb.Spec {
	s := mesh()
	for i := range n {
		t := tunnel(43)
		t.Name = "gre" + itoa(i)
		t.Remote = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		t.Peer.Subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), 0}), 24)
		s.Tunnels = append(s.Tunnels, t)
	}
	return s
}

// has is what Open vSwitch holds when want is done.
func has(want ovsdb.Spec) ovsdb.State {
	have := ovsdb.State{Bridge: ovsdb.Bridge{
		Name: want.Bridge, Exists: true, Ours: true, Mesh: want.Mesh, Datapath: want.Datapath,
		FailMode: "standalone", MTU: want.MTU, OfPort: 65534,
	}}
	have.Ports = append(have.Ports, foreign(want.Bridge, want.Bridge, "internal"))
	for i, t := range want.Tunnels {
		have.Ports = append(have.Ports, ovsdb.Port{Tunnel: t, Bridge: want.Bridge, Interfaces: []string{t.Name},
			Ours: true, Mesh: want.Mesh, Protected: true, OfPort: i + 1})
	}
	return have
}

func foreign(bridge, name, kind string) ovsdb.Port {
	return ovsdb.Port{Tunnel: ovsdb.Tunnel{Name: name, Type: kind}, Bridge: bridge, Interfaces: []string{name}, OfPort: 9}
}

// cases are differences; each has a golden file with the commands that mend it.
func cases() map[string]struct {
	want ovsdb.Spec
	have ovsdb.State
} {
	type c = struct {
		want ovsdb.Spec
		have ovsdb.State
	}
	all := map[string]c{
		"first-run":      {mesh(43, 44), ovsdb.State{}},
		"nothing-to-do":  {mesh(43, 44), has(mesh(43, 44))},
		"join-and-leave": {mesh(43, 45), has(mesh(43, 44))},
		"uninstall":      {ovsdb.Spec{}, has(mesh(43, 44))},
	}

	key := mesh(43)
	key.MTU = 0
	key.Tunnels[0].Type, key.Tunnels[0].Key, key.Tunnels[0].BFD = "vxlan", 7, false
	key.Tunnels[0].Peer.Name = `the "big" one, it's $HOME`
	all["vxlan-with-a-key-and-odd-names"] = c{key, ovsdb.State{}}

	plain := mesh()
	plain.Datapath = ""
	all["default-datapath"] = c{plain, ovsdb.State{}}
	system := has(mesh())
	system.Bridge.Datapath = "system"
	all["another-datapath"] = c{mesh(), system}
	shared := has(mesh())
	shared.Bridge.Ours, shared.Bridge.Mesh, shared.Bridge.Datapath = false, "", "system"
	all["another-datapath-of-others"] = c{mesh(), shared}

	old := mesh(43)
	old.Tunnels[0].Remote, old.Tunnels[0].Key, old.Tunnels[0].Peer.Name = netip.MustParseAddr("192.0.2.9"), 7, "was"
	old.Tunnels[0].BFD, old.MTU, old.Mesh = false, 1500, "red"
	mended := has(old)
	mended.Bridge.FailMode = "secure"
	mended.Ports[1].Protected = false
	mended.Ports[1].Unreadable = map[string]string{"options:local_ip": "flow"}
	all["every-attribute"] = c{mesh(43), mended}

	shared = has(mesh())
	shared.Bridge.Ours, shared.Bridge.Mesh, shared.Bridge.FailMode, shared.Bridge.MTU = false, "", "secure", 0
	all["shared-bridge"] = c{mesh(43), shared}
	left := has(mesh(43))
	left.Bridge.Ours = false
	all["uninstall-from-a-shared-bridge"] = c{ovsdb.Spec{}, left}
	guest := has(mesh(43))
	guest.Ports = append(guest.Ports, foreign("br0", "vnet0", "internal"))
	all["uninstall-with-a-guest"] = c{ovsdb.Spec{}, guest}

	blocked := has(mesh())
	byHand := foreign("br0", "gre1", "gre")
	byHand.Remote = netip.MustParseAddr("192.168.248.43")
	blocked.Ports = append(blocked.Ports, byHand,
		foreign("br1", "br1", "internal"), foreign("br1", "gre44", "internal"))
	all["in-the-way"] = c{mesh(43, 44, 45), blocked}

	renamed := has(mesh(43))
	renamed.Stale = []ovsdb.Bridge{renamed.Bridge}
	renamed.Bridge = ovsdb.Bridge{Name: "br1"}
	br1 := mesh(43)
	br1.Bridge = "br1"
	all["another-bridge-name"] = c{br1, renamed}
	return all
}

func TestDiffReadsLikeARunbook(t *testing.T) {
	for name, tc := range cases() {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for _, change := range ovsdb.Diff(tc.want, tc.have) {
				fmt.Fprintf(&got, "# %s\n%s\n", change, strings.Join(change.Commands, "\n"))
			}
			for _, c := range ovsdb.Conflicts(tc.want, tc.have) {
				fmt.Fprintf(&got, "# conflict: %s: %s\n#   %s\n", c.Key, c.What, c.Do)
			}
			golden(t, name, got.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestDiffDoesNotMindOrderOrChangeItsInput(t *testing.T) {
	forward, backward := mesh(43, 44, 45), mesh(45, 44, 43)
	if diff := cmp.Diff(lines(ovsdb.Diff(forward, ovsdb.State{})), lines(ovsdb.Diff(backward, ovsdb.State{}))); diff != "" {
		t.Error(diff)
	}
	if backward.Tunnels[0].Name != "gre45" {
		t.Error("Diff has sorted the caller's tunnels")
	}
}

func lines(changes []ovsdb.Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.Commands...)
	}
	return all
}

func BenchmarkDiff(b *testing.B) {
	want := big(1000)
	for name, have := range map[string]ovsdb.State{"unchanged": has(want), "empty": {}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ovsdb.Diff(want, have)
			}
		})
	}
}

func TestATunnelsIdentityIsFreeBeforeItIsTakenAgain(t *testing.T) {
	old, want := mesh(), mesh()
	was, is := tunnel(43), tunnel(43)
	is.Name = "gre44" // the peer has another subnet now
	old.Tunnels, want.Tunnels = []ovsdb.Tunnel{was}, []ovsdb.Tunnel{is}

	first := ovsdb.Diff(want, has(old))
	if len(first) != 1 || first[0].Object != "port gre43" || first[0].Should != "" {
		t.Errorf("at first %+v, want the old port's end", first)
	}
	old.Tunnels = nil
	then := ovsdb.Diff(want, has(old))
	if len(then) != 1 || then[0].Object != "port gre44" || then[0].Is != "" {
		t.Errorf("then %+v, want the new port", then)
	}
}

func TestAPortThatWasPlannedForAPeerStaysUntilItComes(t *testing.T) {
	planned := has(mesh(43, 44))
	planned.Ports[1].Mesh, planned.Ports[1].Peer.ID = "", "" // to 43
	for _, c := range []struct {
		name    string
		want    ovsdb.Spec
		deleted bool
	}{
		{"it has not come", mesh(44), false},
		{"it has come", mesh(43, 44), false},
		{"it has come with another subnet", func() ovsdb.Spec {
			s := mesh(44, 45)
			s.Tunnels[1].Remote = planned.Ports[1].Remote
			return s
		}(), true},
		{"this host leaves", ovsdb.Spec{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			deleted := false
			for _, change := range ovsdb.Diff(c.want, planned) {
				deleted = deleted || change.Object == "port "+planned.Ports[1].Name && change.Should == ""
			}
			if deleted != c.deleted {
				t.Errorf("deleted: %t", deleted)
			}
		})
	}
}

func TestAPortThatWaitsForItsPeerIsProtected(t *testing.T) {
	planned := has(mesh(43, 44))
	planned.Ports[1].Mesh, planned.Ports[1].Peer.ID, planned.Ports[1].Protected = "", "", false // to 43
	var got []string
	for _, change := range ovsdb.Diff(mesh(44), planned) {
		got = append(got, change.String())
	}
	if d := cmp.Diff([]string{"port " + planned.Ports[1].Name + " protected: is false, should be true"}, got); d != "" {
		t.Error(d)
	}
}
