package bridge

import (
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
)

// Tunnel is a tunnel device of this host that does not belong to Open vSwitch.
type Tunnel struct {
	Name   string
	Kind   string     // protocol of the packets that it receives: gre, vxlan or geneve
	Remote netip.Addr // zero: any
}

// foreignTunnels returns the tunnel devices that are up and do not belong to Open
// vSwitch. Their packets can have the same protocol as packets of the mesh. A
// firewall rule for the mesh must not drop them.
func foreignTunnels(links []netlink.Link) []Tunnel {
	var found []Tunnel
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagUp == 0 || ofVport(a.Name) {
			continue
		}
		t := Tunnel{Name: a.Name}
		switch d := l.(type) {
		case *netlink.Gretap:
			t.Kind, t.Remote = "gre", specified(d.Remote)
		case *netlink.Gretun:
			t.Kind, t.Remote = "gre", specified(d.Remote)
		case *netlink.Vxlan:
			t.Kind, t.Remote = "vxlan", oneHost(d.Group)
		case *netlink.Geneve:
			t.Kind, t.Remote = "geneve", specified(d.Remote)
		default:
			if kind := l.Type(); !strings.Contains(kind, "gre") && !strings.Contains(kind, "erspan") {
				continue
			}
			t.Kind = "gre"
		}
		found = append(found, t)
	}
	return found
}

// ofVport reports whether a device has a name that Open vSwitch gives to the devices
// of its tunnel ports: gre_sys, vxlan_sys_4789, genev_sys_6081.
func ofVport(name string) bool {
	for _, prefix := range []string{"gre_sys", "vxlan_sys_", "genev_sys_", "erspan_sys"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// oneHost returns an address, or zero for an unspecified or multicast address.
// Members of a multicast group can be anywhere.
func oneHost(ip net.IP) netip.Addr {
	if a := specified(ip); !a.IsMulticast() {
		return a
	}
	return netip.Addr{}
}
