package ovsdb

import "net/netip"

// greOverIPv4 is what a port of Open vSwitch's type gre is that has an IPv6
// address. The userspace datapath takes it for ip6gre; the kernel's sends nothing
// by it, and says nothing (seen with OVS 3.1 and Linux 6.1).
const greOverIPv4 = "gre over IPv4"

// interfaceType is the Interface's type column for a tunnel's type. GRE over
// IPv6 has one of its own (ovs-vswitchd.conf.db(5)); VXLAN and Geneve have not.
func interfaceType(kind string, remote netip.Addr) string {
	switch {
	case kind == greOverIPv4:
		return "gre"
	case kind == "gre" && remote.Is6():
		return "ip6gre"
	}
	return kind
}

// typeOf is a tunnel's type by its Interface's type column.
func typeOf(column string, remote netip.Addr) string {
	switch {
	case column == "gre" && remote.Is6():
		return greOverIPv4
	case column == "ip6gre" && remote.Is6():
		return "gre"
	}
	return column
}
