package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gremesh/gremesh/ovsdb"
)

type (
	object = map[string]any
	list   = []any
)

// applyRaw sends a request directly to ovsdb-server (RFC 7047). The request
// writes the same rows as gremesh. applyRaw returns when ovs-vswitchd has
// applied them.
func applyRaw(socket string, request object) error {
	conn, err := net.Dial("unix", socket) //nolint:noctx // a process of its own
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all was said
	send, receive := json.NewEncoder(conn), json.NewDecoder(conn)
	if err := send.Encode(watchCfg); err != nil {
		return err
	}
	if err := send.Encode(request); err != nil {
		return err
	}
	next, current := -1, -1
	for next < 0 || current < next {
		var m struct {
			ID     any             `json:"id"`
			Method string          `json:"method"`
			Result json.RawMessage `json:"result"`
			Params json.RawMessage `json:"params"`
		}
		if err := receive.Decode(&m); err != nil {
			return err
		}
		switch {
		case m.Method == "update":
			var params []json.RawMessage
			if err := json.Unmarshal(m.Params, &params); err != nil || len(params) != 2 {
				return fmt.Errorf("update %s: %w", m.Params, err)
			}
			current = curCfg(params[1], current)
		case m.ID == "watch":
			current = curCfg(m.Result, current)
		case m.ID == "apply":
			var results []struct {
				Error, Details string
				Rows           []struct {
					NextCfg int `json:"next_cfg"`
				}
			}
			if err := json.Unmarshal(m.Result, &results); err != nil {
				return err
			}
			for _, r := range results {
				if r.Error != "" {
					return fmt.Errorf("%s: %s", r.Error, r.Details)
				}
				for _, row := range r.Rows {
					next = row.NextCfg
				}
			}
		}
	}
	return nil
}

func curCfg(updates json.RawMessage, was int) int {
	var tables map[string]map[string]struct {
		New *struct {
			CurCfg int `json:"cur_cfg"`
		}
	}
	if json.Unmarshal(updates, &tables) == nil {
		for _, row := range tables["Open_vSwitch"] {
			if row.New != nil {
				return row.New.CurCfg
			}
		}
	}
	return was
}

// rawBridge returns the request that makes the bridge without tunnels.
func rawBridge(want ovsdb.Spec) object {
	return transaction(
		insert("Interface", "iface", object{"name": want.Bridge, "type": "internal", "mtu_request": want.MTU}),
		insert("Port", "port", object{"name": want.Bridge, "interfaces": named("iface")}),
		insert("Bridge", "bridge", object{
			"name": want.Bridge, "datapath_type": want.Datapath, "fail_mode": "standalone",
			"external_ids": omap("gremesh=" + want.Mesh), "ports": named("port"),
		}),
		object{"op": "mutate", "table": "Open_vSwitch", "where": list{}, "mutations": list{list{"bridges", "insert", named("bridge")}}})
}

// rawTunnels returns the request that makes all tunnels.
func rawTunnels(want ovsdb.Spec) object {
	var ports, operations list
	for i, t := range want.Tunnels {
		n := strconv.Itoa(i + 1)
		ports = append(ports, named("port"+n))
		operations = append(operations,
			insert("Interface", "iface"+n, object{
				"name": t.Name, "type": t.Type,
				"options": omap("remote_ip="+t.Remote.String(), "local_ip="+t.Local.String()),
			}),
			insert("Port", "port"+n, object{
				"name": t.Name, "interfaces": named("iface" + n), "protected": true,
				"external_ids": omap("gremesh="+want.Mesh, "gremesh-peer="+t.Peer.ID, "gremesh-name="+t.Peer.Name, "gremesh-subnet="+t.Peer.Subnet.String()),
			}))
	}
	operations = append(operations, object{
		"op": "mutate", "table": "Bridge", "where": list{list{"name", "==", want.Bridge}},
		"mutations": list{list{"ports", "insert", list{"set", ports}}},
	})
	return transaction(operations...)
}

// rawDelete returns the request that removes a port from a bridge.
func (o *openSwitch) rawDelete(bridge, port string) (object, error) {
	uuid, err := o.output("ovs-vsctl", "get", "Port", port, "_uuid")
	return transaction(object{
		"op": "mutate", "table": "Bridge", "where": list{list{"name", "==", bridge}},
		"mutations": list{list{"ports", "delete", list{"uuid", strings.TrimSpace(uuid)}}},
	}), err
}

// followCfg stores in at the time when ovs-vswitchd last applied a change. It
// stops when the returned Closer is closed.
func followCfg(socket string, at *atomic.Pointer[time.Time]) (io.Closer, error) {
	conn, err := net.Dial("unix", socket) //nolint:noctx // a process of its own
	if err != nil {
		return nil, err
	}
	go func() {
		receive := json.NewDecoder(conn)
		for {
			var m struct{ Method string }
			if receive.Decode(&m) != nil {
				return
			}
			if now := time.Now(); m.Method == "update" {
				at.Store(&now)
			}
		}
	}()
	return conn, json.NewEncoder(conn).Encode(watchCfg)
}

// watchCfg monitors the number of the configuration that ovs-vswitchd has
// applied.
var watchCfg = object{"id": "watch", "method": "monitor", "params": list{
	"Open_vSwitch", nil, object{"Open_vSwitch": object{"columns": list{"cur_cfg"}}},
}}

// transaction returns a request that commits the operations. It increments
// next_cfg so that cur_cfg shows when they are applied.
func transaction(operations ...any) object {
	operations = append(operations,
		object{"op": "mutate", "table": "Open_vSwitch", "where": list{}, "mutations": list{list{"next_cfg", "+=", 1}}},
		object{"op": "select", "table": "Open_vSwitch", "where": list{}, "columns": list{"next_cfg"}})
	return object{"id": "apply", "method": "transact", "params": append(list{"Open_vSwitch"}, operations...)}
}

func named(uuid string) list { return list{"named-uuid", uuid} }

func insert(table, uuid string, row object) object {
	return object{"op": "insert", "table": table, "uuid-name": uuid, "row": row}
}

// omap returns a map in the notation of OVSDB.
func omap(pairs ...string) list {
	var all list
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		all = append(all, list{key, value})
	}
	return list{"map", all}
}
