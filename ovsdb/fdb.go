package ovsdb

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// MAC is an Ethernet address. The zero MAC means none.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// pinned reports whether an address begins with 02:42. gremesh gives such
// addresses to docker0, and Docker gives them to containers. Only such entries
// are deleted if they are not desired.
func (m MAC) pinned() bool { return m[0] == 0x02 && m[1] == 0x42 }

// entry is a static entry of a bridge's forwarding table to add or to delete.
type entry struct {
	bridge, port string
	mac          MAC
	gone         bool
}

// diffFDB returns the changes that pin the MAC addresses of the peers to the
// tunnels that lead to them. ports are gremesh's ports by tunnel name. made
// contains the names of the tunnels that the same Diff creates.
//
// If another program's port is still in place of a tunnel, the entry points to
// that port. Without an entry, Open vSwitch may learn a path through a third
// host from an unprotected port, and keep it.
//
// If the existing entries are not known, diffFDB returns nothing.
func diffFDB(want Spec, have State, names portIndex, ports map[string]Port, made map[string]bool) []Change {
	if have.Static == nil {
		return nil
	}
	var changes []Change
	there := 0 // number of desired entries that exist
	for _, t := range want.Tunnels {
		if t.MAC == (MAC{}) {
			continue
		}
		at, is := have.Static[t.MAC]
		if is {
			there++
		}
		p, leads := ports[t.Name]
		switch {
		case made[t.Name]:
			p = Port{Tunnel: t} // an existing entry points to another port
		case leads && p.Bridge == want.Bridge:
		default:
			p = names.foreignTunnel(want.Bridge, t)
		}
		if made[t.Name] || p.OfPort > 0 && (!is || at != p.OfPort) {
			changes = append(changes, newEntry(want.Bridge, p.Name, t.MAC, have.behind(at)))
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Object, b.Object) })
	if there == len(have.Static) {
		return changes
	}
	return append(changes, oldEntries(want, have, ports)...)
}

// oldEntries returns the deletion of entries behind tunnels that are no longer
// desired. The entries of a port that is deleted need no change, because
// ovs-vswitchd deletes them with the port.
func oldEntries(want Spec, have State, ports map[string]Port) []Change {
	wanted := make(map[MAC]bool, len(want.Tunnels))
	for _, t := range want.Tunnels {
		wanted[t.MAC] = true
	}
	kept := make(map[string]bool, len(ports))
	for _, p := range ports {
		kept[p.Name] = true
	}
	var changes []Change
	for mac, at := range have.Static {
		if wanted[mac] || !mac.pinned() {
			continue
		}
		if p, ok := have.port(at); ok && p.tunnel() && (kept[p.Name] || !p.Ours) {
			changes = append(changes, oldEntry(p, mac))
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Object, b.Object) })
	return changes
}

// port returns the configured bridge's port with a number (Interface ofport).
func (a State) port(number int) (Port, bool) {
	if number > 0 {
		for _, p := range a.Ports {
			if p.OfPort == number && p.Bridge == a.Bridge.Name {
				return p, true
			}
		}
	}
	return Port{}, false
}

// behind returns the target of an entry as text, or "" if there is none.
func (a State) behind(number int) string {
	if p, ok := a.port(number); ok {
		return "behind " + p.Name
	}
	return ""
}

// foreignTunnel returns another program's port that equals the tunnel except for the
// mark, or the zero Port.
func (x portIndex) foreignTunnel(bridge string, t Tunnel) Port {
	for _, p := range x.foreign[endpoint{t.Type, t.Remote}] {
		if p.Bridge == bridge && sameTunnel(t, p) {
			return p
		}
	}
	return Port{}
}

func newEntry(bridge, port string, mac MAC, is string) Change {
	return Change{
		Drift: drift.Of(key("fdb", port, mac.String()), is, "behind "+port, ovsAppctl("fdb/add", bridge, port, "0", mac.String())),
		entry: &entry{bridge: bridge, port: port, mac: mac},
	}
}

func oldEntry(p Port, mac MAC) Change {
	return Change{
		Drift: drift.Of(key("fdb", p.Name, mac.String()), "behind "+p.Name, "", ovsAppctl("fdb/del", p.Bridge, "0", mac.String())),
		entry: &entry{bridge: p.Bridge, port: p.Name, mac: mac, gone: true},
	}
}

func ovsAppctl(args ...string) string { return "ovs-appctl " + arguments(args...) }

// parseFDB reads the output of fdb/show and returns the static entries for
// untagged frames: MAC address to port number. It makes no allocation per line,
// because a table can have 5,000 lines. The format is:
//
//	port  VLAN  MAC                Age
//	   3     0  02:42:ac:11:2b:01  static
func parseFDB(table string) map[MAC]int {
	static := make(map[MAC]int, strings.Count(table, "static"))
	for line := range strings.Lines(table) {
		port, rest := word(line)
		vlan, rest := word(rest)
		address, rest := word(rest)
		age, _ := word(rest)
		mac, isMAC := parseMAC(address)
		number, isNumber := parsePort(port)
		if age == "static" && vlan == "0" && isMAC && isNumber {
			static[mac] = number
		}
	}
	return static
}

// word splits the first word off a line.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " ")
	if end := strings.IndexAny(line, " \n"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, ""
}

// parsePort parses a port number. LOCAL is the bridge's own port
// (ovs-ofctl(8)).
func parsePort(s string) (number int, ok bool) {
	if s == "LOCAL" {
		return localPort, true
	}
	number, err := strconv.Atoi(s)
	return number, err == nil && number > 0
}

const localPort = 65534

// parseMAC parses an address of the form 02:42:ac:11:2b:01.
func parseMAC(s string) (mac MAC, ok bool) {
	if len(s) != 17 {
		return mac, false
	}
	for i := range mac {
		n, err := strconv.ParseUint(s[3*i:3*i+2], 16, 8)
		if err != nil || i > 0 && s[3*i-1] != ':' {
			return MAC{}, false
		}
		mac[i] = byte(n)
	}
	return mac, true
}
