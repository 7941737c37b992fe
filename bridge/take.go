package bridge

import (
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// take brings the tables up to a notice. It reports whether somebody else has
// changed something that concerns us: on a busy host most are of containers that
// come and go, and of neighbours that are asked for.
func (t *tables) take(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case syscall.RTM_NEWLINK, syscall.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return false
		}
		index := int(nl.DeserializeIfInfomsg(m.Data).Index)
		name := attribute(m.Data[unix.SizeofIfInfomsg:], syscall.IFLA_IFNAME)
		name = name[:max(0, len(name)-1)] // it ends with a zero byte
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

// touch takes it that something has happened to a device, and reports whether it
// is one of ours.
func (t *tables) touch(index int) bool {
	name := t.links[index]
	ours := slices.Contains(t.names[:], name)
	by := func(r Route) bool { return r.Link == name }
	intrudes := slices.ContainsFunc(t.intruders, by)
	t.stale = t.stale || ours || intrudes || slices.ContainsFunc(t.routes.rows, by)
	return ours || intrudes
}

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
	// What another one takes the place of goes without a notice, and may be one of
	// several.
	changed := !said.gone && m.Header.Flags&unix.NLM_F_REPLACE != 0 &&
		slices.ContainsFunc(t.routes.rows, func(was Route) bool { return was.Dst == r.Dst && was.Metric == r.Metric })
	t.stale = t.stale || changed
	switch {
	case !is:
	case r.Link == "" || message.Tos != 0: // of a device that is new, or of a kind that is not told apart
		t.stale, changed = true, true
	case said.gone:
		changed = t.routes.remove(r) || changed
	default:
		changed = t.routes.put(r) || changed
	}
	return changed && !t.ours[said]
}

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
		// It is of one port at a time.
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
