package ovsdb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Conflict is a difference that gremesh must not correct, or that Open vSwitch
// could not apply.
type Conflict struct {
	Key  reconcile.Key // key of the conflicting object
	What string        // what is wrong
	Do   string        // what an operator can do
}

// Conflicts returns the obstacles that keep have from becoming want, sorted by
// object:
//
//   - names and tunnels that other programs use;
//   - another program's bridge with another datapath;
//   - settings, mirrors, flows and flags that stop packets and that gremesh must
//     not change;
//   - objects that ovs-vswitchd could not set up, with its own error text.
//
// Diff has no changes for these. Ports that are only dangerous, without being
// an obstacle, are in UnprotectedTunnels.
func Conflicts(want Spec, have State) []Conflict { return conflicts(Prune(want, have)) }

func conflicts(want Spec, have State) []Conflict {
	if want.Bridge == "" {
		return nil
	}
	names := indexPorts(have.Ports)
	var found []Conflict

	object := key(kindBridge, want.Bridge, "")
	switch b, p := have.Bridge, names.byName[want.Bridge]; {
	case !b.Exists && p.Name != "":
		found = append(found, Conflict{object,
			fmt.Sprintf("%s is the name of a port on %s", want.Bridge, p.Bridge),
			fmt.Sprintf("choose another bridge name, or delete the port: %s", ovsVsctl("del-port", p.Bridge, p.Name))})
	case b.Exists && !b.Ours && !sameDatapath(want.Datapath, b.Datapath):
		found = append(found, Conflict{object,
			fmt.Sprintf("datapath_type is %s, should be %s, and the bridge is not gremesh's to change",
				cmp.Or(b.Datapath, "system"), want.Datapath),
			fmt.Sprintf("ask for no datapath, or change it: %s",
				ovsVsctl("set", "bridge", want.Bridge, "datapath_type="+want.Datapath))})
	case b.Exists && (b.Error != "" || b.OfPort <= 0):
		found = append(found, Conflict{object,
			cmp.Or(b.Error, "ovs-vswitchd has not set it up"),
			"see that ovs-vswitchd runs, that the kernel has the openvswitch module (modprobe openvswitch) " +
				"unless the datapath is netdev, and what ovs-vswitchd.log says"})
	}

	if have.Restoring {
		found = append(found, Conflict{key("Open_vSwitch", "", ""), "other_config:flow-restore-wait is true: ovs-vswitchd forwards nothing until it is removed",
			ovsVsctl("remove", "open_vswitch", ".", "other_config", "flow-restore-wait")})
	}
	if b := have.Bridge; b.Exists {
		if !b.Ours {
			for _, s := range b.Settings {
				found = append(found, s.conflict())
			}
		}
		for _, m := range b.Mirrors {
			found = append(found, m.conflict(b.Name))
		}
		found = append(found, forwardingConflicts(have)...)
	}

	ports := matchPorts(want, have)
	for _, t := range want.Tunnels {
		p := ports[t.Name]
		if c, blocked := names.obstacle(t, p); blocked {
			found = append(found, c)
			continue
		}
		if p.Ours && (p.Error != "" || p.OfPort < 0) {
			found = append(found, Conflict{key(kindPort, p.Name, ""),
				cmp.Or(p.Error, "Open vSwitch could not set it up (ofport -1)"),
				"see " + ovsVsctl("list", "interface", p.Name) + " and ovs-vswitchd.log"})
		}
	}
	slices.SortStableFunc(found, func(a, b Conflict) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return found
}

// portIndex finds ports by names and endpoints, which must be unique.
type portIndex struct {
	byName  map[string]Port // by the names of the Port and of its Interfaces
	foreign map[endpoint][]Port
}

// endpoint is the part of a tunnel's identity that is always set.
type endpoint struct {
	kind   string
	remote netip.Addr
}

func indexPorts(ports []Port) portIndex {
	x := portIndex{make(map[string]Port, len(ports)), make(map[endpoint][]Port)}
	for _, p := range ports {
		x.byName[p.Name] = p
		for _, name := range p.Interfaces {
			x.byName[name] = p
		}
		if !p.Ours && p.Remote.IsValid() {
			e := endpoint{p.Type, p.Remote}
			x.foreign[e] = append(x.foreign[e], p)
		}
	}
	return x
}

// obstacle returns the conflict of a tunnel with another program's port, if
// there is one. is is gremesh's port for the tunnel, or the zero Port. A port
// that only has the tunnel's name counts only if is is the zero Port.
//
// Another program's tunnel to the same remote conflicts even if it has no local
// address. Open vSwitch accepts both. Then it passes all arriving packets to
// gremesh's tunnel, and sends broadcasts to the peer twice.
func (x portIndex) obstacle(t Tunnel, is Port) (Conflict, bool) {
	for _, p := range x.foreign[endpoint{t.Type, t.Remote}] {
		if !sameTunnel(t, p) {
			continue
		}
		do := ovsVsctl("del-port", p.Bridge, p.Name)
		if is.Ours {
			do = "delete it: " + do
		} else {
			do = fmt.Sprintf("take it over: gremesh adopt; or delete it, and %s takes its place at once: %s", t.Name, do)
		}
		return Conflict{key(kindPort, t.Name, ""),
			fmt.Sprintf("port %s on %s, which is not gremesh's, is a %s tunnel to %s already",
				p.Name, p.Bridge, t.Type, t.Remote), do}, true
	}
	if p, taken := x.byName[t.Name]; taken && !p.Ours && !is.Ours {
		return Conflict{key(kindPort, t.Name, ""),
			fmt.Sprintf("the name is taken by port %s on %s, which is not gremesh's", p.Name, p.Bridge),
			"delete it if nobody needs it: " + ovsVsctl("del-port", p.Bridge, p.Name)}, true
	}
	return Conflict{}, false
}

// sameTunnel reports whether another program's port receives packets that are
// meant for a tunnel to the same remote. The keys must be equal. The local
// addresses must be equal, or one of them must be missing.
func sameTunnel(t Tunnel, p Port) bool {
	return p.Key == t.Key && (p.Local == t.Local || !p.Local.IsValid() || !t.Local.IsValid())
}
