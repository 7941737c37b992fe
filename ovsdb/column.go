package ovsdb

import (
	"fmt"
	"net/netip"
)

// Keys of external_ids. mark is the ownership mark; its value is the mesh's ID.
const (
	mark       = "gremesh"
	markPeer   = "gremesh-peer"
	markName   = "gremesh-name"
	markSubnet = "gremesh-subnet"
	// markAdopted is set on a port that was created by hand and adopted. Such a
	// port has another name than gremesh would give it.
	markAdopted = "gremesh-adopted"
)

// column is one value in a row, as ovs-vsctl(8) names it: protected=true,
// options:remote_ip=192.0.2.1.
type column struct {
	name  string
	key   string // within a map; empty: the column is not a map
	value any    // string, bool or int; nil: the value should be absent
}

func (c column) String() string {
	if c.key == "" {
		return c.name
	}
	return c.name + ":" + c.key
}

// text returns the value as ovs-vsctl prints it, or "" if it is absent.
func (c column) text() string {
	if c.value == nil {
		return ""
	}
	return fmt.Sprint(c.value)
}

// The functions below return the columns of a row. They are used for both the
// desired and the observed state, so the two results differ only in values,
// never in length or order. The mark is present even if the mesh's ID is empty,
// because a row without it is not gremesh's.

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

// keyText returns nil for key 0, because Open vSwitch treats 0 like no key.
func keyText(key uint32) any {
	if key == 0 {
		return nil
	}
	return fmt.Sprint(key)
}
