package ovsdb

import (
	"fmt"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Adopt returns the changes that turn other programs' tunnel ports into
// gremesh's, one change for each port. A port qualifies if it equals a desired
// tunnel except for the mark. It gets the mark, protected=true, BFD and its
// local address; none of these stops its packets. It keeps its name, because
// Open vSwitch cannot rename a port.
//
// left lists the other tunnel ports on want's bridge that are not adopted. It
// also lists ports on other bridges that conflict with a desired tunnel. Each
// has the reason.
func Adopt(want Spec, have State) (changes []Change, left []Conflict) {
	if want.Bridge == "" {
		return nil, nil
	}
	a := adopter{want: want, ours: matchPorts(want, have), foreign: indexPorts(have.Ports).foreign}
	for _, p := range have.Ports {
		if p.Ours || p.local() || !p.tunnel() {
			continue
		}
		t, wanted := a.leadsTo(p)
		inTheWay := wanted && p.Type == t.Type && sameTunnel(t, p)
		if p.Bridge != want.Bridge && !inTheWay {
			continue // it belongs to another program and does not conflict
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
	want    Spec
	ours    map[string]Port
	foreign map[endpoint][]Port
}

// leadsTo returns the desired tunnel to the remote of a port.
func (a adopter) leadsTo(p Port) (Tunnel, bool) {
	for _, t := range a.want.Tunnels {
		if t.Remote == p.Remote {
			return t, true
		}
	}
	return Tunnel{}, false
}

// refuse returns the reason why a port cannot become the desired tunnel to its
// remote, and the remedy. It returns empty strings if the port can.
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

// adoptPort adds values and removes none. Extra values of the port are drift
// after the adoption.
func adoptPort(mesh string, t Tunnel, p Port) Change {
	port := missingColumns(portColumns(mesh, true, p.Name != t.Name, t.Peer), portColumns("", p.Protected, false, p.Peer))
	iface := missingColumns(interfaceColumns(t), interfaceColumns(p.Tunnel))
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

// missingColumns returns the desired values that are missing or different. It always
// includes the mark.
func missingColumns(want, have []column) []column {
	var columns []column
	for i, c := range want {
		if c.value != nil && (c.text() != have[i].text() || c.key == mark) {
			columns = append(columns, c)
		}
	}
	return columns
}
