package ovsdb

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/ovn-org/libovsdb/ovsdb"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Change is one difference and the operations that mend it.
type Change struct {
	drift.Drift
	ops   []ovsdb.Operation
	refs  []reference // come after all ops
	entry *entry      // in the forwarding table, which is not in the database; nil: none
	steer *steer      // of flows and flags, which are not in the database either; nil: none
	port  *lone       // that comes or goes, with nothing else; nil: none
}

// lone is a port whose coming or going touches no other.
type lone struct {
	name   string
	number int // of one that goes
}

// Diff returns what must change for have to become want, in the order in which
// the commands may be run by hand: the bridge, new ports, ports that differ,
// the forwarding table, ports to delete, bridges to delete. have must be observed of want's bridge.
//
// What is not ours is left alone, and a tunnel that would get in its way is not
// made: see Conflicts.
func Diff(want Switch, have Actual) []Change { return diff(Unsettled(want, have)) }

func diff(want Switch, have Actual) []Change {
	names := indexPorts(have.Ports)
	var changes, mends []Change

	ports := matched(want, have)
	kept := make(map[string]bool, len(ports))
	for _, p := range ports {
		kept[p.Name] = true
	}
	// Open vSwitch can fail to give a tunnel's identity to a new port in the
	// transaction that takes it from an old one ("File exists"), and does not
	// try again. So the new one is left to the next Diff.
	held, made := make(map[identity]bool), make(map[string]bool)
	for _, p := range have.Ports {
		if p.Ours {
			held[identityOf(p.Tunnel)] = true
		}
	}
	if want.Bridge != "" {
		switch _, taken := names.byName[want.Bridge]; {
		case have.Bridge.Exists:
			changes = append(changes, mendBridge(want, have.Bridge)...)
		case taken:
			return nil // no bridge, no tunnels; and nothing to gain from deletes
		default:
			changes = append(changes, newBridge(want))
		}
		tunnels := slices.Clone(want.Tunnels)
		slices.SortFunc(tunnels, func(a, b Tunnel) int { return cmp.Compare(a.Name, b.Name) })
		for _, t := range tunnels {
			p := ports[t.Name]
			switch _, blocked := names.obstacle(t, p); {
			case p.Ours && p.Bridge == want.Bridge:
				mends = append(mends, mendPort(want.Mesh, t, p)...)
			case p.Ours:
				changes = append(changes, movePort(want, t, p))
				made[t.Name] = true
			case !blocked && !held[identityOf(t)]:
				changes = append(changes, newPort(want, t))
				made[t.Name] = true
			}
		}
	}
	changes = append(changes, mends...)
	changes = append(changes, diffFDB(want, have, names, ports, made)...)
	changes = append(changes, diffForwarding(want, have)...)

	foreign := make(map[string]bool) // bridges with ports of others
	for _, p := range have.Ports {
		switch {
		case p.Ours && !kept[p.Name] && !awaits(want, p):
			changes = append(changes, oldPort(p))
		case p.Ours && !kept[p.Name]: // a loop waits for no peer
			changes = append(changes, mend(kindPort, tablePort, p.Name, p.uuid,
				[]column{{name: "protected", value: true}}, []column{{name: "protected", value: p.Protected}})...)
		case !p.Ours && !p.local():
			foreign[p.Bridge] = true
		}
	}
	for _, b := range append([]Bridge{have.Bridge}, have.Stale...) {
		if b.Exists && b.Ours && b.Name != want.Bridge && !foreign[b.Name] {
			changes = append(changes, oldBridge(b))
		}
	}
	if want.Bridge == "" && want.Back != nil {
		changes = append(changes, diffFormer(want.Back, foreign, have.Bridge)...)
	}
	return changes
}

// awaits tells whether a port was made from a plan for a mesh that did not exist
// yet, and its peer has not come so far: it stays, for to make it anew when the
// peer joins would be a pause for nothing.
func awaits(want Switch, p Port) bool {
	return want.Bridge == p.Bridge && p.Mesh == "" && p.Peer.ID == "" &&
		!slices.ContainsFunc(want.Tunnels, func(t Tunnel) bool { return t.Remote == p.Remote })
}

// identity is what no two tunnels have in common.
type identity struct {
	kind          string
	remote, local netip.Addr
	key           uint32
}

func identityOf(t Tunnel) identity { return identity{t.Type, t.Remote, t.Local, t.Key} }

// component is the name of the part of the machine that this package keeps.
const component = "ovs"

// Kinds of objects, as ovs-vsctl calls their tables.
const (
	kindBridge    = "bridge"
	kindPort      = "port"
	kindInterface = "interface"
)

// key identifies an object of Open vSwitch by what ovs-vsctl calls its table:
// "interface", "gre43", "options:remote_ip".
func key(kind, name, field string) reconcile.Key {
	return reconcile.Key{Component: component, Kind: kind, Name: name, Field: field}
}

// about says which peer a difference is about.
func about(p Peer, d drift.Drift) drift.Drift {
	d.Peer = p.ID
	return d
}

func newBridge(want Switch) Change {
	bridge, local := bridgeColumns(want.Datapath, standalone, want.Mesh), localColumns(want.MTU)
	port, iface, br := id(tablePort, want.Bridge), id(tableInterface, want.Bridge), id(tableBridge, want.Bridge)
	should := standalone
	if want.Datapath != "" {
		should += ", datapath " + want.Datapath
	}
	return Change{
		Drift: drift.Of(key(kindBridge, want.Bridge, ""), "", should, addBridge(want.Bridge, bridge, local)),
		ops: []ovsdb.Operation{
			insert(tableInterface, iface, append(local, column{name: "type", value: "internal"}),
				ovsdb.Row{"name": want.Bridge}),
			insert(tablePort, port, nil, ovsdb.Row{"name": want.Bridge, "interfaces": ovsdb.UUID{GoUUID: iface}}),
			insert(tableBridge, br, bridge, ovsdb.Row{"name": want.Bridge, "ports": ovsdb.UUID{GoUUID: port}}),
		},
		refs: []reference{attach(tableRoot, "bridges", br, "")},
	}
}

// standalone makes a bridge learn like an ordinary switch; with "secure" it
// would drop everything until a controller tells it otherwise.
const standalone = "standalone"

func mendBridge(want Switch, b Bridge) []Change {
	var changes []Change
	if b.Ours {
		datapath := want.Datapath
		if sameDatapath(datapath, b.Datapath) {
			datapath = b.Datapath
		}
		changes = mend(kindBridge, tableBridge, b.Name, b.uuid,
			bridgeColumns(datapath, standalone, want.Mesh), bridgeColumns(b.Datapath, b.FailMode, b.Mesh))
		changes = append(changes, resets(b.Settings)...)
	}
	if want.MTU != 0 {
		changes = append(changes, mend(kindInterface, tableInterface, b.Name, b.local,
			localColumns(want.MTU), localColumns(b.MTU))...)
	}
	return changes
}

// sameDatapath says whether a bridge with the datapath_type have is what was
// asked for. Asking for none accepts any, and none is "system".
func sameDatapath(want, have string) bool {
	return want == "" || want == cmp.Or(have, "system")
}

func newPort(want Switch, t Tunnel) Change {
	port, iface := portColumns(want.Mesh, true, false, t.Peer), interfaceColumns(t)
	p, i := id(tablePort, t.Name), id(tableInterface, t.Name)
	return Change{
		Drift: about(t.Peer, drift.Of(key(kindPort, t.Name, ""), "", t.String()+" on "+want.Bridge, addPort(want.Bridge, t.Name, port, iface))),
		ops: []ovsdb.Operation{
			insert(tableInterface, i, iface, ovsdb.Row{"name": t.Name}),
			insert(tablePort, p, port, ovsdb.Row{"name": t.Name, "interfaces": ovsdb.UUID{GoUUID: i}}),
		},
		refs: []reference{attach(tableBridge, "ports", p, want.Bridge)},
		port: &lone{name: t.Name},
	}
}

func oldPort(p Port) Change {
	return Change{
		Drift: about(p.Peer, drift.Of(key(kindPort, p.Name, ""), p.String()+" on "+p.Bridge, "", ovsVsctl("del-port", p.Bridge, p.Name))),
		refs:  []reference{detach(tableBridge, "ports", p.uuid, p.Bridge)},
		port:  &lone{p.Name, p.OfPort},
	}
}

// movePort makes a port of ours anew that is on another bridge.
func movePort(want Switch, t Tunnel, p Port) Change {
	made, gone := newPort(want, t), oldPort(p)
	add := strings.TrimPrefix(made.Commands[0], "ovs-vsctl ")
	return Change{
		Drift: about(t.Peer, drift.Of(made.Key, gone.Is, made.Should, gone.Commands[0]+" -- "+add)),
		ops:   made.ops, refs: append(gone.refs, made.refs...),
	}
}

func oldBridge(b Bridge) Change {
	return Change{
		Drift: drift.Of(key(kindBridge, b.Name, ""), "a bridge of gremesh", "", ovsVsctl("del-br", b.Name)),
		refs:  []reference{detach(tableRoot, "bridges", b.uuid, "")},
	}
}

func mendPort(mesh string, t Tunnel, p Port) []Change {
	changes := append(append(
		mend(kindPort, tablePort, p.Name, p.uuid,
			portColumns(mesh, true, p.Name != t.Name, t.Peer),
			p.unread(portColumns(p.Mesh, p.Protected, p.Adopted, p.Peer))),
		mend(kindInterface, tableInterface, p.Name, p.iface,
			interfaceColumns(t),
			p.unread(interfaceColumns(p.Tunnel)))...), resets(p.Settings)...)
	for i := range changes {
		changes[i].Drift = about(t.Peer, changes[i].Drift)
	}
	return changes
}

// unread fills in the values that Tunnel could not hold.
func (p Port) unread(columns []column) []column {
	for i, c := range columns {
		if raw, ok := p.Unreadable[c.String()]; ok {
			columns[i].value = raw
		}
	}
	return columns
}

// mend compares two rows column by column. kind is what ovs-vsctl calls the
// table.
func mend(kind, table, name, uuid string, want, have []column) []Change {
	var changes []Change
	for i, c := range want {
		if c.text() == have[i].text() {
			continue
		}
		changes = append(changes, Change{
			Drift: drift.Of(key(kind, name, c.String()), have[i].text(), c.text(), setColumn(kind, name, c)),
			ops:   []ovsdb.Operation{set(table, uuid, c)},
		})
	}
	return changes
}
