package ovsdb

import (
	"fmt"
	"net/netip"
)

// Keys of external_ids. mark is the ownership mark and bears the mesh's ID.
const (
	mark       = "gremesh"
	markPeer   = "gremesh-peer"
	markName   = "gremesh-name"
	markSubnet = "gremesh-subnet"
	// markAdopted is on a port that was made by hand and taken over, and so has
	// another name than gremesh's own would.
	markAdopted = "gremesh-adopted"
)

// column is one value in a row, as ovs-vsctl(8) names it: protected=true,
// options:remote_ip=192.0.2.1.
type column struct {
	name  string
	key   string // within a map; empty: the column is no map
	value any    // string, bool or int; nil: it should be absent
}

func (c column) String() string {
	if c.key == "" {
		return c.name
	}
	return c.name + ":" + c.key
}

// text is the value as ovs-vsctl prints it, empty when absent.
func (c column) text() string {
	if c.value == nil {
		return ""
	}
	return fmt.Sprint(c.value)
}

// The functions below say what a row looks like. Desired and actual state go
// through the same ones and so differ in values only, never in length or order.
// The mark is there whatever the mesh's ID, for without it a row is not ours.

func bridgeColumns(datapath, failMode, mesh string) []column {
	return []column{
		{name: "datapath_type", value: text(datapath)},
		{name: "fail_mode", value: text(failMode)},
		{name: "external_ids", key: mark, value: mesh},
	}
}

func localColumns(mtu int) []column {
	return []column{{name: "mtu_request", value: number(mtu)}}
}

func portColumns(mesh string, protected, adopted bool, peer Peer) []column {
	var mine any
	if adopted {
		mine = "true"
	}
	return []column{
		{name: "protected", value: protected},
		{name: "external_ids", key: mark, value: mesh},
		{name: "external_ids", key: markPeer, value: text(peer.ID)},
		{name: "external_ids", key: markName, value: text(peer.Name)},
		{name: "external_ids", key: markSubnet, value: prefix(peer.Subnet)},
		{name: "external_ids", key: markAdopted, value: mine},
	}
}

func interfaceColumns(t Tunnel) []column {
	var bfd any
	if t.BFD {
		bfd = "true"
	}
	return []column{
		{name: "type", value: text(interfaceType(t.Type, t.Remote))},
		{name: "options", key: "remote_ip", value: addr(t.Remote)},
		{name: "options", key: "local_ip", value: addr(t.Local)},
		{name: "options", key: "key", value: keyText(t.Key)},
		{name: "bfd", key: "enable", value: bfd},
	}
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func addr(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	return a.String()
}

func prefix(p netip.Prefix) any {
	if !p.IsValid() {
		return nil
	}
	return p.String()
}

// keyText leaves key 0 out, which is the same to Open vSwitch as none.
func keyText(key uint32) any {
	if key == 0 {
		return nil
	}
	return fmt.Sprint(key)
}
