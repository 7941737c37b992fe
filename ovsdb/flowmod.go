package ovsdb

import (
	"encoding/binary"
	"net/netip"
)

// flow is a flow of table 0.
type flow struct {
	priority uint16
	source   MAC        // dl_src; zero: any
	from     netip.Addr // tun_src or tun_ipv6_src; zero: any
	action   string     // actionNormal or actionDrop
	cookie   uint64     // shown by ovs-ofctl(8)
}

func (b Binding) flow() flow {
	f := flow{priority: dropsPriority, source: b.MAC, from: b.From, action: b.action(), cookie: flowCookie}
	if b.From.IsValid() {
		f.priority = forwardsPriority
	}
	return f
}

// flowCookie marks gremesh's own flows for people: "gremesh" in ASCII.
const flowCookie = 0x6772656d657368

// Commands of a flow modification (OpenFlow 1.0, section 5.3.3).
const (
	flowAdd    = 0
	flowDelete = 4 // only the flow with exactly this match and priority
)

// Nicira's extension of OpenFlow 1.0. It matches tunnels, which OpenFlow 1.0
// itself does not (ovs-fields(7); nicira-ext.h of Open vSwitch).
const (
	nxVendor  = 0x00002320
	nxFlowMod = 13

	nxEthSrc     = 0x0000<<16 | 2<<9 | 6
	nxTunIPv4Src = 0x0001<<16 | 31<<9 | 4
	nxTunIPv6Src = 0x0001<<16 | 109<<9 | 16
)

// modifyFlow adds or deletes a flow.
func (o *openflow) modifyFlow(f flow, command uint16) error {
	match := f.match()
	body := binary.BigEndian.AppendUint32(nil, nxVendor)
	body = binary.BigEndian.AppendUint32(body, nxFlowMod)
	body = binary.BigEndian.AppendUint64(body, f.cookie)
	body = binary.BigEndian.AppendUint16(body, command)
	body = append(body, 0, 0, 0, 0) // no timeouts
	body = binary.BigEndian.AppendUint16(body, f.priority)
	body = binary.BigEndian.AppendUint32(body, 1<<32-1)    // no buffer
	body = binary.BigEndian.AppendUint16(body, ofPortNone) // no out_port
	body = append(body, 0, 0)                              // no flags
	body = binary.BigEndian.AppendUint16(body, uint16(len(match)))
	body = append(body, 0, 0, 0, 0, 0, 0)
	body = append(body, match...)
	body = append(body, make([]byte, (8-len(match)%8)%8)...)
	if f.action == actionNormal && command == flowAdd {
		body = append(body, 0, 0, 0, 8) // action output, 8 bytes
		body = binary.BigEndian.AppendUint16(body, ofPortNormal)
		body = append(body, 0, 0)
	}
	return o.send(ofVendor, body)
}

// match returns the match of the flow as a list of fields, each with its header.
func (f flow) match() []byte {
	var match []byte
	if f.source != (MAC{}) {
		match = append(binary.BigEndian.AppendUint32(match, nxEthSrc), f.source[:]...)
	}
	switch {
	case f.from.Is4():
		match = append(binary.BigEndian.AppendUint32(match, nxTunIPv4Src), f.from.AsSlice()...)
	case f.from.IsValid():
		match = append(binary.BigEndian.AppendUint32(match, nxTunIPv6Src), f.from.AsSlice()...)
	}
	return match
}
