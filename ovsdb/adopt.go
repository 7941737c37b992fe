package ovsdb

import (
	"fmt"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Adopt returns what makes tunnel ports of others ours that are wanted tunnels
// in all but the mark, one change a port: it is marked, protected, and gets BFD
// and its local address, none of which stops its packets. It keeps its name,
// because Open vSwitch can't give it another. The other tunnels of others on
// want's bridge, and those elsewhere that are in a wanted one's way, are left
// with the reason why.
func Adopt(want Switch, have Actual) (changes []Change, left []Conflict) {
	if want.Bridge == "" {
		return nil, nil
	}
	a := adopter{want: want, ours: matched(want, have), foreign: indexPorts(have.Ports).foreign}
	for _, p := range have.Ports {
		if p.Ours || p.local() || !p.tunnel() {
			continue
		}
		t, wanted := a.leadsTo(p)
		inTheWay := wanted && p.Type == t.Type && sameTunnel(t, p)
		if p.Bridge != want.Bridge && !inTheWay {
			continue // the business of others
		}
		if why, do := a.refuse(t, wanted, p); why != "" {
			left = append(left, Conflict{key(kindPort, p.Name, ""), why, do})
			continue
		}
		changes = append(changes, adoptPort(want.Mesh, t, p))
	}
	return changes, left
}

type adopter struct {
	want    Switch
	ours    map[string]Port
	foreign map[endpoint][]Port
}

// leadsTo returns the wanted tunnel to the remote of a port.
func (a adopter) leadsTo(p Port) (Tunnel, bool) {
	for _, t := range a.want.Tunnels {
		if t.Remote == p.Remote {
			return t, true
		}
	}
	return Tunnel{}, false
}

// refuse says why a port can't become the wanted tunnel to its remote, and what
// to do about it; nothing if it can.
func (a adopter) refuse(t Tunnel, wanted bool, p Port) (why, do string) {
	remove := ovsVsctl("del-port", p.Bridge, p.Name)
	replace := fmt.Sprintf("delete it, and %s takes its place at once: %s", t.Name, remove)
	if !wanted {
		return fmt.Sprintf("no host of the mesh that should have a tunnel is at %s", p.remote()),
			"start the agent there, or delete it if nobody needs it: " + remove
	}
	if is, ours := a.ours[t.Name]; ours {
		return fmt.Sprintf("%s, which is gremesh's, leads to %s already", is.Name, t.Remote), "delete it if nobody needs it: " + remove
	}
	if p.Bridge != a.want.Bridge {
		return fmt.Sprintf("it is on %s, and gremesh's tunnels are on %s", p.Bridge, a.want.Bridge), replace
	}
	if len(p.Interfaces) != 1 || p.Interfaces[0] != p.Name {
		return "it is a bond, or its interface has another name", replace
	}
	var differs []string
	differ := func(column, is, should string) {
		if is != should {
			differs = append(differs, fmt.Sprintf("%s is %s, should be %s", column, orNone(is), orNone(should)))
		}
	}
	differ("type", p.Type, t.Type)
	is, should := p.unread(interfaceColumns(p.Tunnel)), interfaceColumns(t)
	for i, c := range is {
		if c.key == "key" || c.key == "local_ip" && c.value != nil {
			differ(c.String(), c.text(), should[i].text())
		}
	}
	if len(p.Options) > 0 {
		differs = append(differs, "it has options that gremesh's tunnels do not have: "+strings.Join(p.Options, ", "))
	}
	if len(differs) > 0 {
		return strings.Join(differs, "; "), "correct that, or " + replace
	}
	for _, other := range a.want.Tunnels {
		if other.Name == p.Name && other.Name != t.Name {
			return fmt.Sprintf("its name is the one of the tunnel to %s, and it leads to %s", other.Peer.Name, t.Peer.Name), replace
		}
	}
	for _, other := range a.foreign[endpoint{t.Type, t.Remote}] {
		if other.Name != p.Name && sameTunnel(t, other) {
			return fmt.Sprintf("port %s on %s leads to %s, too", other.Name, other.Bridge, t.Remote), "delete one of the two: " + remove
		}
	}
	if p.Error != "" || p.OfPort < 0 {
		return "Open vSwitch could not set it up: " + p.Error, replace
	}
	return "", ""
}

func (p Port) remote() string {
	if raw := p.Unreadable["options:remote_ip"]; raw != "" {
		return raw
	}
	return p.Remote.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// adoptPort takes nothing away; what a port has too much is drift from then on.
func adoptPort(mesh string, t Tunnel, p Port) Change {
	port := lacking(portColumns(mesh, true, p.Name != t.Name, t.Peer), portColumns("", p.Protected, false, p.Peer))
	iface := lacking(interfaceColumns(t), interfaceColumns(p.Tunnel))
	change := Change{Drift: about(t.Peer, drift.Of(key(kindPort, p.Name, ""), p.String()+", made by hand", t.String()+", gremesh's",
		"ovs-vsctl"+strings.TrimPrefix(settings("port", p.Name, port)+settings("interface", p.Name, iface), " --")))}
	for _, c := range port {
		change.ops = append(change.ops, set(tablePort, p.uuid, c))
	}
	for _, c := range iface {
		change.ops = append(change.ops, set(tableInterface, p.iface, c))
	}
	return change
}

// lacking are the wanted values that are not there.
func lacking(want, have []column) []column {
	var columns []column
	for i, c := range want {
		if c.value != nil && (c.text() != have[i].text() || c.key == mark) {
			columns = append(columns, c)
		}
	}
	return columns
}
