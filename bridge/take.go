package bridge

import (
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// take updates the tables from a notification. It reports whether another program
// has changed an object that is relevant to gremesh. Most notifications on a busy
// host are not relevant: they concern starting and stopping containers, and learned
// neighbours.
func (t *tables) take(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case syscall.RTM_NEWLINK, syscall.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return false
		}
		index := int(nl.DeserializeIfInfomsg(m.Data).Index)
		name := attribute(m.Data[unix.SizeofIfInfomsg:], syscall.IFLA_IFNAME)
		name = name[:max(0, len(name)-1)] // without the zero byte at its end
		concerned := t.touch(index)
		if slices.Contains(t.names[:], string(name)) {
			t.stale, concerned = true, true
			t.links[index] = string(name)
		}
		return concerned
	case syscall.RTM_NEWADDR, syscall.RTM_DELADDR:
		return len(m.Data) >= unix.SizeofIfAddrmsg && t.touch(int(nl.DeserializeIfAddrmsg(m.Data).Index))
	case syscall.RTM_NEWROUTE, syscall.RTM_DELROUTE:
		return t.takeRoute(m)
	case syscall.RTM_NEWNEIGH, syscall.RTM_DELNEIGH:
		n, err := netlink.NeighDeserialize(m.Data)
		return err == nil && t.takeNeighbour(n, m.Header.Type == syscall.RTM_NEWNEIGH)
	}
	return false
}

// touch marks the tables as stale if a changed device is in them. It reports whether
// the device is Docker's bridge, its port, or the device of an intruding route.
func (t *tables) touch(index int) bool {
	name := t.links[index]
	ours := slices.Contains(t.names[:], name)
	by := func(r Route) bool { return r.Link == name }
	intrudes := slices.ContainsFunc(t.intruders, by)
	t.stale = t.stale || ours || intrudes || slices.ContainsFunc(t.routes.rows, by)
	return ours || intrudes
}

// takeRoute is take for a notification about a route.
func (t *tables) takeRoute(m syscall.NetlinkMessage) bool {
	message, err := readRoute(m.Data)
	if err != nil {
		t.stale = true
		return true
	}
	if message.Table != unix.RT_TABLE_MAIN {
		return false
	}
	if _, intrudes := t.intruder(message); intrudes {
		t.stale = true
		return true
	}
	r, is := unicast(message, t.links)
	is = is && t.concerns(r)
	said := news{route: r, gone: m.Header.Type == syscall.RTM_DELROUTE}
	// The kernel sends no notification for a route that is replaced. Several routes
	// can match, so the tables must be read in full.
	changed := !said.gone && m.Header.Flags&unix.NLM_F_REPLACE != 0 &&
		slices.ContainsFunc(t.routes.rows, func(was Route) bool { return was.Dst == r.Dst && was.Metric == r.Metric })
	t.stale = t.stale || changed
	switch {
	case !is:
	case r.Link == "" || message.Tos != 0: // a new device, or a type of service, which Route does not have
		t.stale, changed = true, true
	case said.gone:
		changed = t.routes.remove(r) || changed
	default:
		changed = t.routes.put(r) || changed
	}
	return changed && !t.ours[said]
}

// takeNeighbour is take for a notification about a neighbour or an entry of the
// forwarding database. is reports whether the entry exists.
func (t *tables) takeNeighbour(n *netlink.Neigh, is bool) bool {
	var said news
	changed := false
	switch {
	case n.Family == unix.AF_INET && t.links[n.LinkIndex] == t.names[0]:
		row, set := permanent(n)
		if is = is && set; is {
			said, changed = newsOf(row), t.neighbours.put(row)
		} else {
			said, changed = news{ip: row.IP, gone: true}, t.neighbours.remove(row)
		}
	case n.Family == unix.AF_BRIDGE && n.MasterIndex == t.bridge && n.Vlan == 0:
		// A MAC address has only one entry, on one port. An entry on another port
		// therefore removes the one on our port.
		said.mac = macOf(n.HardwareAddr)
		if is = is && static(n) && n.LinkIndex == t.port; is {
			changed = t.fdb.put(n.HardwareAddr)
		} else {
			said.gone, changed = true, t.fdb.remove(n.HardwareAddr)
		}
	default:
		return false
	}
	return changed && !t.ours[said]
}
