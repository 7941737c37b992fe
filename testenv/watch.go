package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// TunnelPort is one of a host's tunnel ports, according to its OVSDB.
type TunnelPort struct {
	Present bool         // ovs-vswitchd has given it a port number
	Up      bool         // its BFD session is up
	Remote  netip.Addr   // the underlay address to which it leads
	Subnet  netip.Prefix // the subnet of the peer, if the port belongs to gremesh
}

// monitorPorts is a request of RFC 7047, section 4.1.5.
const monitorPorts = `{"id": 0, "method": "monitor", "params": ["Open_vSwitch", null, {
	"Interface": {"columns": ["name", "ofport", "options", "bfd_status"]},
	"Port": {"columns": ["name", "external_ids"]}}]}`

// WatchTunnels calls f with all of the host's tunnel ports by name, at first
// and after each change, until ctx ends. It uses no CPU while nothing changes,
// so a measurement can watch many hosts. f may keep the map.
func (h *Host) WatchTunnels(ctx context.Context, f func(map[string]TunnelPort)) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", h.path("ovs", "db.sock"))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(monitorPorts)); err != nil {
		return fmt.Errorf("%s: ask ovsdb-server: %w", h.Name, err)
	}
	seen := portRows{interfaces: map[string]interfaceRow{}, ports: map[string]portRow{}}
	for messages := json.NewDecoder(conn); ; {
		var m monitorMessage
		if err := messages.Decode(&m); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("%s: read what ovsdb-server says: %w", h.Name, err)
		}
		if err := seen.update(m); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		f(seen.tunnels())
	}
}

// monitorMessage is the answer to a monitor request, or an update.
type monitorMessage struct {
	Method string            `json:"method"`
	Error  json.RawMessage   `json:"error"`
	Result json.RawMessage   `json:"result"`
	Params []json.RawMessage `json:"params"`
}

type (
	interfaceRow struct {
		Name    string    `json:"name"`
		Ofport  any       `json:"ofport"` // a number, or an empty set
		Options stringMap `json:"options"`
		BFD     stringMap `json:"bfd_status"`
	}
	portRow struct {
		Name        string    `json:"name"`
		ExternalIDs stringMap `json:"external_ids"`
	}
	rowUpdate[T any] struct {
		New *T `json:"new"` // all columns; nil: the row was deleted
	}
	tableUpdates struct {
		Interface map[string]rowUpdate[interfaceRow]
		Port      map[string]rowUpdate[portRow]
	}
)

// portRows holds the existing rows by their UUID.
type portRows struct {
	interfaces map[string]interfaceRow
	ports      map[string]portRow
}

func (r portRows) update(m monitorMessage) error {
	text := m.Result
	switch {
	case m.Method == "update" && len(m.Params) == 2:
		text = m.Params[1]
	case m.Method != "" || text == nil:
		return errors.New("ovsdb-server says " + m.Method + string(m.Error))
	}
	var updates tableUpdates
	if err := json.Unmarshal(text, &updates); err != nil {
		return fmt.Errorf("read an update of ovsdb-server: %w", err)
	}
	apply(r.interfaces, updates.Interface)
	apply(r.ports, updates.Port)
	return nil
}

func apply[T any](rows map[string]T, updates map[string]rowUpdate[T]) {
	for id, u := range updates {
		if u.New == nil {
			delete(rows, id)
		} else {
			rows[id] = *u.New
		}
	}
}

func (r portRows) tunnels() map[string]TunnelPort {
	all := map[string]TunnelPort{}
	for _, row := range r.interfaces {
		if len(row.Options) == 0 {
			continue
		}
		ofport, _ := row.Ofport.(float64)
		remote, _ := netip.ParseAddr(row.Options["remote_ip"])
		all[row.Name] = TunnelPort{Present: ofport > 0, Up: row.BFD["state"] == "up", Remote: remote}
	}
	for _, row := range r.ports {
		if t, ok := all[row.Name]; ok {
			t.Subnet, _ = netip.ParsePrefix(row.ExternalIDs["gremesh-subnet"]) // invalid if there is none
			all[row.Name] = t
		}
	}
	return all
}
