package ovsdb

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// MAC is an Ethernet address; the zero MAC is none.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// pinned tells whether an address is of the form that gremesh gives to docker0s
// and Docker to containers: of those entries that are not wanted are taken away,
// and no others.
func (m MAC) pinned() bool { return m[0] == 0x02 && m[1] == 0x42 }

// entry is a static entry to be made, or to be taken away, in a bridge's
// forwarding table.
type entry struct {
	bridge, port string
	mac          MAC
	gone         bool
}

// diffFDB pins the MAC addresses of the peers to the tunnels that lead to them,
// made being those that are about to be made, ports those of ours, by the names
// of the tunnels. A tunnel that is still another's to give has its entry on the
// port that was made by hand: without one, Open vSwitch may learn a way by a
// third host from a port that is not protected, and keep to it.
//
// It is silent while it is not known what there is.
func diffFDB(want Switch, have Actual, names portIndex, ports map[string]Port, made map[string]bool) []Change {
	if have.Static == nil {
		return nil
	}
	var changes []Change
	there := 0 // wanted entries that are there
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
			p = Port{Tunnel: t} // what is there leads to another port
		case leads && p.Bridge == want.Bridge:
		default:
			p = names.byHand(want.Bridge, t)
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

// oldEntries are those behind tunnels that nobody wants any more. With a port
// its entries go by themselves.
func oldEntries(want Switch, have Actual, ports map[string]Port) []Change {
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

// port is that of the configured bridge with a number (Interface ofport).
func (a Actual) port(number int) (Port, bool) {
	if number > 0 {
		for _, p := range a.Ports {
			if p.OfPort == number && p.Bridge == a.Bridge.Name {
				return p, true
			}
		}
	}
	return Port{}, false
}

// behind says where an entry leads; empty where there is none.
func (a Actual) behind(number int) string {
	if p, ok := a.port(number); ok {
		return "behind " + p.Name
	}
	return ""
}

// byHand is the port of others that is a tunnel in all but the mark; zero: there
// is none.
func (x portIndex) byHand(bridge string, t Tunnel) Port {
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

// parseFDB reads the static entries for untagged frames from what fdb/show
// prints, MAC address to port number. A table of 5,000 lines is read without an
// allocation for each:
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

// word cuts the first word off a line.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " ")
	if end := strings.IndexAny(line, " \n"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, ""
}

// parsePort reads a port number; LOCAL is the bridge's own (ovs-ofctl(8)).
func parsePort(s string) (number int, ok bool) {
	if s == "LOCAL" {
		return localPort, true
	}
	number, err := strconv.Atoi(s)
	return number, err == nil && number > 0
}

const localPort = 65534

// parseMAC reads 02:42:ac:11:2b:01.
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
