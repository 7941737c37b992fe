package ovsdb

import "net/netip"

// greOverIPv4 is the tunnel type of a port with Interface type gre and an IPv6
// address. The userspace datapath treats it as ip6gre. The kernel datapath
// sends nothing by it and reports no error (seen with OVS 3.1 and Linux 6.1).
const greOverIPv4 = "gre over IPv4"

// interfaceType returns the Interface's type column for a tunnel type. GRE over
// IPv6 has a type of its own, ip6gre (ovs-vswitchd.conf.db(5)). VXLAN and
// Geneve do not.
func interfaceType(kind string, remote netip.Addr) string {
	switch {
	case kind == greOverIPv4:
		return "gre"
	case kind == "gre" && remote.Is6():
		return "ip6gre"
	}
	return kind
}

// typeOf returns the tunnel type for an Interface's type column.
func typeOf(column string, remote netip.Addr) string {
	switch {
	case column == "gre" && remote.Is6():
		return greOverIPv4
	case column == "ip6gre" && remote.Is6():
		return "gre"
	}
	return column
}
