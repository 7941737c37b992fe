package ovsdb

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/model"
)

// Observe returns the state of Open vSwitch, at least as new as the call. It
// sends one request to ovsdb-server and reads the rows that changed since the
// last Observe. Every 30 s it reads the whole cache. If the forwarding table
// may have changed, it also asks ovs-vswitchd. Observe waits at most 2 s for
// the first attempt to connect. The error states what failed and how to start
// Open vSwitch.
func (c *Client) Observe(ctx context.Context) (State, error) {
	c.waitFirstConnect(ctx)
	s, err := c.session()
	if err != nil {
		return State{}, err
	}
	for range 20 {
		if err := s.ask(ctx); err != nil {
			return State{}, c.unreachable(err)
		}
		tables := s.ovs.Cache()
		if tables == nil {
			return State{}, c.unreachable(errLost)
		}
		if err := s.waitForEvents(ctx, tables); err != nil {
			return State{}, c.unreachable(err)
		}
		if have, whole := s.last.observe(tables, c.config.Bridge); whole {
			c.join(ctx, &have)
			return have, nil
		}
	}
	s.ovs.Disconnect() // Run then reconnects with a new cache
	return State{}, c.unreachable(errors.New("the copy of its database contradicts itself"))
}

// rows are the rows of a session's cache by UUID. They are shared with the
// cache and read only. The cache replaces a row instead of changing it.
type rows struct {
	roots, bridges, ports, interfaces, mirrors map[string]model.Model
}

// roots returns the rows of the Open_vSwitch table: one, or none in an empty
// database.
func (s *session) roots() (map[string]model.Model, error) {
	tables := s.ovs.Cache()
	if tables == nil {
		return nil, errLost
	}
	return tables.Table(tableRoot).RowsShallow(), nil
}

func rowsOf(tables *cache.TableCache) rows {
	of := func(table string) map[string]model.Model { return tables.Table(table).RowsShallow() }
	return rows{of(tableRoot), of(tableBridge), of(tablePort), of(tableInterface), of(tableMirror)}
}

// actual joins the rows. whole is false if an update arrived while they were
// read. Then a reference points to a missing row, or nothing refers to a row.
// The server allows neither.
func (r rows) actual(name string) (have State, whole bool) {
	have.Bridge.Name = name
	var bridges, ports, interfaces int
	for uuid, m := range r.roots {
		root := m.(*rootRow)
		have.Database = uuid
		have.Restoring = root.OtherConfig["flow-restore-wait"] == "true"
		bridges += len(root.Bridges)
	}
	for _, m := range r.bridges {
		row := m.(*bridgeRow)
		ports += len(row.Ports)
		bridge := bridgeOf(row)
		for _, uuid := range row.Ports {
			port, ok := r.ports[uuid].(*portRow)
			if !ok {
				return have, false
			}
			interfaces += len(port.Interfaces)
			p := portOf(row.Name, port)
			for _, uuid := range port.Interfaces {
				iface, ok := r.interfaces[uuid].(*interfaceRow)
				if !ok {
					return have, false
				}
				p.Interfaces = append(p.Interfaces, iface.Name)
				if len(port.Interfaces) == 1 || iface.Name == p.Name {
					p.join(iface)
				}
				if iface.Name == row.Name {
					bridge.join(iface)
					bridge.Settings = append(bridge.Settings, p.Settings...)
				}
			}
			slices.Sort(p.Interfaces)
			have.Ports = append(have.Ports, p)
		}
		switch {
		case bridge.Name == name:
			for _, uuid := range row.Mirrors {
				m, ok := r.mirrors[uuid].(*mirrorRow)
				if !ok {
					return have, false
				}
				out, ok := r.ports[deref(m.Output)].(*portRow)
				if !ok {
					continue
				}
				if _, ours := out.ExternalIDs[mark]; ours || out.Name == row.Name {
					bridge.Mirrors = append(bridge.Mirrors, Mirror{m.Name, out.Name, m.UUID})
				}
			}
			slices.SortFunc(bridge.Mirrors, func(a, b Mirror) int { return cmp.Compare(a.uuid, b.uuid) })
			have.Bridge = bridge
		case bridge.Ours:
			have.Stale = append(have.Stale, bridge)
		}
	}
	slices.SortFunc(have.Stale, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(have.Ports, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	return have, bridges == len(r.bridges) && ports == len(r.ports) && interfaces == len(r.interfaces)
}

func bridgeOf(row *bridgeRow) Bridge {
	b := Bridge{Name: row.Name, Exists: true, Datapath: row.DatapathType, FailMode: deref(row.FailMode), uuid: row.UUID}
	b.Mesh, b.Ours = row.ExternalIDs[mark]
	b.Settings = blockingBridge(row)
	return b
}

func (b *Bridge) join(row *interfaceRow) {
	b.MTU, b.OfPort, b.Error, b.local = deref(row.MTURequest), deref(row.OfPort), deref(row.Error), row.UUID
}

func portOf(bridge string, row *portRow) Port {
	p := Port{Bridge: bridge, Protected: row.Protected, Settings: blockingPort(row), uuid: row.UUID}
	p.Name = row.Name
	p.Mesh, p.Ours = row.ExternalIDs[mark]
	p.Ours = p.Ours && !p.local()
	if p.Ours {
		p.Peer.ID, p.Peer.Name = row.ExternalIDs[markPeer], row.ExternalIDs[markName]
		p.Adopted = row.ExternalIDs[markAdopted] == "true"
		p.Peer.Subnet = read(&p, "external_ids:"+markSubnet, row.ExternalIDs[markSubnet], netip.ParsePrefix)
	}
	return p
}

func (p *Port) join(row *interfaceRow) {
	p.Settings = append(p.Settings, blockingInterface(row)...)
	p.iface, p.OfPort, p.Error = row.UUID, deref(row.OfPort), deref(row.Error)
	p.Remote = read(p, "options:remote_ip", row.Options["remote_ip"], netip.ParseAddr)
	p.Type = typeOf(row.Type, p.Remote)
	p.Local = read(p, "options:local_ip", row.Options["local_ip"], netip.ParseAddr)
	p.Key = read(p, "options:key", row.Options["key"], func(s string) (uint32, error) {
		n, err := strconv.ParseUint(s, 0, 32)
		return uint32(n), err
	})
	for key := range row.Options {
		if key != "remote_ip" && key != "local_ip" && key != "key" {
			p.Options = append(p.Options, key)
		}
	}
	slices.Sort(p.Options)
	p.Tunnel.BFD = row.BFD["enable"] == "true"
	p.MinTx = row.BFD["min_tx"]
	p.BFD = BFDStatus{
		State:       row.BFDStatus["state"],
		Forwarding:  row.BFDStatus["forwarding"] == "true",
		Diagnostic:  row.BFDStatus["diagnostic"],
		RemoteState: row.BFDStatus["remote_state"],
	}
}

// read parses a value. If that fails, it stores the value in p.Unreadable and
// returns zero.
func read[T any](p *Port, column, value string, parse func(string) (T, error)) T {
	var zero T
	if value == "" {
		return zero
	}
	t, err := parse(value)
	if err != nil {
		if p.Unreadable == nil {
			p.Unreadable = make(map[string]string)
		}
		p.Unreadable[column] = value
		return zero
	}
	return t
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
