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

// Change is one difference and the operations that correct it.
type Change struct {
	drift.Drift
	ops   []ovsdb.Operation
	refs  []reference // executed after all ops
	entry *entry      // entry of the forwarding table, which is not in the database; nil: none
	steer *steer      // flows or port flags, which are not in the database either; nil: none
	port  *portEvent  // port that the change adds or deletes, and that is its only effect; nil: none
}

// portEvent is a port that is added or deleted without an effect on other ports.
type portEvent struct {
	name   string
	number int // OpenFlow number of a port to delete
}

// Diff returns the changes from have to want. have must be the observed state
// of want's bridge. An operator may run the commands by hand in the order of
// the changes:
//
//   - the bridge, new ports, and ports that differ;
//   - the forwarding table, flows and flags;
//   - ports to delete, bridges to delete.
//
// Diff changes nothing of other programs except a bridge's MTU and static
// entries. It does not create a tunnel that would conflict with their ports;
// see Conflicts.
func Diff(want Spec, have State) []Change { return diff(Prune(want, have)) }

func diff(want Spec, have State) []Change {
	names := indexPorts(have.Ports)
	var changes, mends []Change

	ports := matchPorts(want, have)
	kept := make(map[string]bool, len(ports))
	for _, p := range ports {
		kept[p.Name] = true
	}
	// Do not move a tunnel's identity from an old port to a new one in one
	// transaction. Open vSwitch can then fail to create the new port ("File
	// exists"), and does not retry. Therefore the next Diff creates the new
	// port.
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
			return nil // no bridge, so no tunnels; deleting ports would gain nothing
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
	if want.Bridge != "" {
		changes = append(changes, diffBindings(want, have, names, ports, made)...)
	}

	foreign := make(map[string]bool) // bridges with ports of other programs
	for _, p := range have.Ports {
		switch {
		case p.Ours && !kept[p.Name] && !expectsPeer(want, p):
			changes = append(changes, removePort(p))
		case p.Ours && !kept[p.Name]: // protect it now: a loop does not wait until the peer joins
			changes = append(changes, diffColumns(kindPort, tablePort, p.Name, p.uuid,
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
	if want.Bridge == "" && (!have.Bridge.Ours || foreign[have.Bridge.Name]) { // the bridge stays
		changes = append(changes, diffBindings(want, have, names, nil, nil)...)
	}
	if want.Bridge == "" && want.Back != nil {
		changes = append(changes, diffFormer(want.Back, foreign, have.Bridge)...)
	}
	return changes
}

// expectsPeer reports whether a port was created from a plan for a mesh that did not
// exist yet, and its peer has not joined so far. Such a port stays. Otherwise
// it would be created again when the peer joins, which interrupts traffic
// needlessly.
func expectsPeer(want Spec, p Port) bool {
	return want.Bridge == p.Bridge && p.Mesh == "" && p.Peer.ID == "" &&
		!slices.ContainsFunc(want.Tunnels, func(t Tunnel) bool { return t.Remote == p.Remote })
}

// identity is the combination of values that no two tunnels may have in common.
type identity struct {
	kind          string
	remote, local netip.Addr
	key           uint32
}

func identityOf(t Tunnel) identity { return identity{t.Type, t.Remote, t.Local, t.Key} }

// component is the name of this package's reconcile component.
const component = "ovs"

// Kinds of objects, named like the tables of ovs-vsctl.
const (
	kindBridge    = "bridge"
	kindPort      = "port"
	kindInterface = "interface"
)

// key returns the key of an object of Open vSwitch, with the table name of
// ovs-vsctl as its kind: "interface", "gre43", "options:remote_ip".
func key(kind, name, field string) reconcile.Key {
	return reconcile.Key{Component: component, Kind: kind, Name: name, Field: field}
}

// about sets the peer of a difference.
func about(p Peer, d drift.Drift) drift.Drift {
	d.Peer = p.ID
	return d
}

func newBridge(want Spec) Change {
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

// standalone makes a bridge learn like an ordinary switch. With "secure" the
// bridge would drop every packet until a controller adds flows.
const standalone = "standalone"

func mendBridge(want Spec, b Bridge) []Change {
	var changes []Change
	if b.Ours {
		datapath := want.Datapath
		if sameDatapath(datapath, b.Datapath) {
			datapath = b.Datapath
		}
		changes = diffColumns(kindBridge, tableBridge, b.Name, b.uuid,
			bridgeColumns(datapath, standalone, want.Mesh), bridgeColumns(b.Datapath, b.FailMode, b.Mesh))
		changes = append(changes, resets(b.Settings)...)
	}
	if want.MTU != 0 {
		changes = append(changes, diffColumns(kindInterface, tableInterface, b.Name, b.local,
			localColumns(want.MTU), localColumns(b.MTU))...)
	}
	return changes
}

// sameDatapath reports whether a bridge with datapath_type have satisfies want.
// An empty want accepts any type, and an empty have means "system".
func sameDatapath(want, have string) bool {
	return want == "" || want == cmp.Or(have, "system")
}

func newPort(want Spec, t Tunnel) Change {
	port, iface := portColumns(want.Mesh, true, false, t.Peer), interfaceColumns(t)
	p, i := id(tablePort, t.Name), id(tableInterface, t.Name)
	return Change{
		Drift: about(t.Peer, drift.Of(key(kindPort, t.Name, ""), "", t.String()+" on "+want.Bridge, addPort(want.Bridge, t.Name, port, iface))),
		ops: []ovsdb.Operation{
			insert(tableInterface, i, iface, ovsdb.Row{"name": t.Name}),
			insert(tablePort, p, port, ovsdb.Row{"name": t.Name, "interfaces": ovsdb.UUID{GoUUID: i}}),
		},
		refs: []reference{attach(tableBridge, "ports", p, want.Bridge)},
		port: &portEvent{name: t.Name},
	}
}

func removePort(p Port) Change {
	return Change{
		Drift: about(p.Peer, drift.Of(key(kindPort, p.Name, ""), p.String()+" on "+p.Bridge, "", ovsVsctl("del-port", p.Bridge, p.Name))),
		refs:  []reference{detach(tableBridge, "ports", p.uuid, p.Bridge)},
		port:  &portEvent{p.Name, p.OfPort},
	}
}

// movePort moves a port of gremesh to want's bridge: it deletes the port and
// creates it again.
func movePort(want Spec, t Tunnel, p Port) Change {
	made, gone := newPort(want, t), removePort(p)
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
		diffColumns(kindPort, tablePort, p.Name, p.uuid,
			portColumns(mesh, true, p.Name != t.Name, t.Peer),
			p.unread(portColumns(p.Mesh, p.Protected, p.Adopted, p.Peer))),
		diffColumns(kindInterface, tableInterface, p.Name, p.iface,
			interfaceColumns(t),
			p.unread(interfaceColumns(p.Tunnel)))...), resets(p.Settings)...)
	for i := range changes {
		changes[i].Drift = about(t.Peer, changes[i].Drift)
	}
	return changes
}

// unread replaces columns with the raw values that Tunnel could not represent.
func (p Port) unread(columns []column) []column {
	for i, c := range columns {
		if raw, ok := p.Unreadable[c.String()]; ok {
			columns[i].value = raw
		}
	}
	return columns
}

// diffColumns compares two rows column by column and returns a change for each
// difference. kind is the table name of ovs-vsctl.
func diffColumns(kind, table, name, uuid string, want, have []column) []Change {
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
