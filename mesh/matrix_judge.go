package mesh

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// judgeHosts finds the faults of hosts, as opposed to the faults of tunnels.
func (m *matrix) judgeHosts() {
	mtu := m.usualMTU()
	holders := make(map[netip.Prefix]*MatrixHost)
	for _, h := range m.hosts {
		switch {
		case h.State == Silent:
			m.own(h, KindSilent, true, fmt.Sprintf("%s (%s) does not answer; gossip finds it alive", h.label(), h.Underlay),
				"on "+h.label()+": journalctl -u gremesh; an agent of an older version does not answer either")
		case h.State == string(Failed):
			m.own(h, KindFailed, true, fmt.Sprintf("%s (%s) is not heard of any more", h.label(), h.Underlay),
				fmt.Sprintf("on %s: systemctl start gremesh; if it is gone for good: gremesh forget %s", h.label(), h.word()))
		}
		if h.State != Answers {
			continue
		}
		if h.Blind != "" {
			m.own(h, KindBlind, true, h.label()+" cannot tell how its tunnels are: "+h.Blind, "on "+h.label()+": gremesh status")
		}
		for _, why := range h.Unseen {
			m.own(h, KindBlind, true, h.label()+" could not judge all of itself: "+why, "on "+h.label()+": gremesh audit")
		}
		if h.Drift > 0 {
			m.own(h, KindHost, false, fmt.Sprintf("%s has drift beside its tunnels (%d)", h.label(), h.Drift), "on "+h.label()+": gremesh audit")
		}
		switch other := holders[h.Subnet]; {
		case h.Cut:
			m.own(h, KindCut, false, fmt.Sprintf("%s has no tunnels: another host has its subnet", h.label()), "on "+h.label()+": gremesh renumber")
			continue
		case !h.Subnet.IsValid():
			m.own(h, KindWaiting, true, h.label()+" holds no lease: "+h.Waiting, "on "+h.label()+": gremesh status")
			continue
		case other != nil:
			m.own(h, KindSubnet, false, fmt.Sprintf("%s and %s both have %s", other.label(), h.label(), h.Subnet),
				"gremesh leases says which of the two has to renumber")
		}
		holders[h.Subnet] = h
		if h.MTU != mtu {
			m.own(h, KindMTU, false, fmt.Sprintf("%s has MTU %d on docker0, most hosts have %d", h.label(), h.MTU, mtu),
				"give the underlay the same MTU on all hosts (ip link set DEVICE mtu N), and restart the agent")
		}
	}
}

// usualMTU returns the most frequent MTU. If two are equally frequent, it
// returns the larger one.
func (m *matrix) usualMTU() int {
	count := make(map[int]int)
	for _, h := range m.hosts {
		if h.State == Answers && h.Subnet.IsValid() {
			count[h.MTU]++
		}
	}
	usual := 0
	for mtu, n := range count {
		if n > count[usual] || n == count[usual] && mtu > usual {
			usual = mtu
		}
	}
	return usual
}

// takesPart reports whether a host should have tunnels, as far as is known.
func (h *MatrixHost) takesPart() bool {
	return h.Subnet.IsValid() && !h.Cut && (h.State == Answers || h.State == Silent)
}

// judgeTunnel finds the configuration faults of a tunnel.
func (m *matrix) judgeTunnel(from, to *MatrixHost) {
	t := m.tunnel(from, to)
	if t.State == CellUnknown {
		return
	}
	if to.State == New {
		if t.Configured {
			t.State = CellStarting
		}
		return
	}
	reverse := m.tunnel(to, from)
	do := func(commands ...string) string { return "on " + from.label() + ": " + strings.Join(commands, "; ") }
	switch {
	case !t.Configured && t.Desired && from.byHand(to):
		t.State, t.byHand = CellForeign, true
		return
	case !t.Configured && (t.Desired || from.takesPart() && to.takesPart()):
		kind, what := KindMissing, fmt.Sprintf("%s has no tunnel to %s", from.label(), to.label())
		if reverse.Configured {
			kind, what = KindReverse, what+", which has one to it"
		}
		advice := "gremesh status"
		for _, d := range t.Drift {
			advice = strings.Join(d.Commands, "; ")
		}
		if t.Error != "" {
			what, advice = what+": "+t.Error, cmp.Or(t.Do, advice)
		}
		m.between(from, to, kind, CellMissing, what, do(advice))
		return
	case !t.Configured:
		return
	case !t.Desired:
		m.stray(from, to, *t.Cell)
		return
	}
	t.State = CellUp
	if t.Error != "" {
		m.between(from, to, KindError, CellError, fmt.Sprintf("%s's port %s to %s: %s", from.label(), t.Port, to.label(), t.Error),
			do(cmp.Or(t.Do, "ovs-vsctl list interface "+t.Port)))
	}
	seen := make(map[string]bool) // columns that differ from the desired state of the host itself
	for _, d := range t.Drift {
		words := strings.Fields(d.Object)
		column := words[len(words)-1]
		seen[column] = true
		kind, state := KindSetting, CellWrong
		switch column {
		case "options:remote_ip", "options:local_ip":
			kind = KindRemote
		case "protected":
			kind, state = KindUnprotected, CellUnprotected
		}
		m.between(from, to, kind, state, fmt.Sprintf("%s's port %s to %s: %s is %s, should be %s",
			from.label(), t.Port, to.label(), column, cmp.Or(d.Is, "not set"), cmp.Or(d.Should, "not set")), do(d.Commands...))
	}
	m.crossCheck(from, to, reverse, seen, do)
}

// crossCheck compares a tunnel with the report of the host at the other end.
// This is necessary because the desired state of a host may be out of date.
func (m *matrix) crossCheck(from, to *MatrixHost, reverse *tunnel, seen map[string]bool, do func(...string) string) {
	if to.State != Answers {
		return
	}
	t := m.tunnel(from, to)
	for _, end := range []struct {
		column string
		is     netip.Addr
		whose  *MatrixHost
	}{{"options:remote_ip", t.Remote, to}, {"options:local_ip", t.Local, from}} {
		if end.is != end.whose.Underlay && !seen[end.column] {
			m.between(from, to, KindRemote, CellWrong, fmt.Sprintf("%s's port %s to %s: %s is %s, but %s says that it is at %s",
				from.label(), t.Port, to.label(), end.column, end.is, end.whose.label(), end.whose.Underlay),
				do(fmt.Sprintf("ovs-vsctl set interface %s %s=%s", t.Port, end.column, end.whose.Underlay)))
		}
	}
	if t.Subnet != to.Subnet && !seen["external_ids:gremesh-subnet"] {
		m.between(from, to, KindSubnet, CellWrong, fmt.Sprintf("%s's port %s to %s is for %s, but %s says that it has %s",
			from.label(), t.Port, to.label(), prefixOr(t.Subnet, "no subnet"), to.label(), prefixOr(to.Subnet, "none")), do("gremesh leases"))
	}
	// Report this only for one of the two directions.
	if reverse.Configured && (t.Type != reverse.Type || t.Key != reverse.Key) && from.at < to.at {
		m.between(from, to, KindSetting, CellWrong, fmt.Sprintf("the tunnels between %s and %s don't match: %s with key %d, and %s with key %d",
			from.label(), to.label(), t.Type, t.Key, reverse.Type, reverse.Key), "run `gremesh config show` on both hosts: a value that one of them pins must go; with tunnel.fallback the two agree within seconds, or their agents' logs say why not")
	}
	if reverse.Configured && t.Type == reverse.Type && from.Type != "" && t.Type != from.Type && from.at < to.at {
		protocol, name := protocolOf(from.Type)
		m.notes = append(m.notes, fmt.Sprintf("%s (%s) is filtered between %s and %s: this pair uses %s", protocol, name, from.label(), to.label(), t.Type))
	}
}

func prefixOr(p netip.Prefix, none string) string {
	if !p.IsValid() {
		return none
	}
	return p.String()
}

// judgeStrays finds the tunnels of a host that it should adopt or remove, and
// other programs' unprotected tunnels on its bridge.
func (m *matrix) judgeStrays(from *MatrixHost) {
	m.judgeByHand(from)
	for _, c := range from.Cells {
		leads := m.leads(from, &c)
		switch {
		case c.Foreign && !c.Protected:
			to := m.hostAt(from, c.Remote)
			what := fmt.Sprintf("%s's port %s to %s is not gremesh's and not protected: broadcasts go in a loop", from.label(), c.Port, c.Remote)
			do := fmt.Sprintf("on %s: ovs-vsctl set port %s protected=true", from.label(), c.Port)
			if to == nil {
				m.own(from, KindUnprotected, false, what, do)
				continue
			}
			state := CellUnprotected
			if t := m.tunnel(from, to); t.cause { // the fault of the tunnel itself is worse
				state = t.State
			}
			m.between(from, to, KindUnprotected, state, what, do)
		case !c.Foreign && !c.Desired && (leads == nil || leads.Port != c.Port):
			m.stray(from, nil, c)
		}
	}
}

// hostAt returns the host with that underlay address, but never from. It
// returns nil if there is none.
func (m *matrix) hostAt(from *MatrixHost, addr netip.Addr) *MatrixHost {
	i := slices.IndexFunc(m.hosts, func(h *MatrixHost) bool { return h.Underlay == addr && h.ID != from.ID })
	if i < 0 {
		return nil
	}
	return m.hosts[i]
}

// stray reports a port of gremesh that the host itself no longer wants. A host
// that waits for a lease keeps its ports, so it is not reported.
func (m *matrix) stray(from, to *MatrixHost, c Cell) {
	if !from.Subnet.IsValid() {
		return
	}
	what := fmt.Sprintf("%s's port %s to %s should not be there", from.label(), c.Port, cmp.Or(c.Name, c.Remote.String()))
	do := "on " + from.label() + ": ovs-vsctl del-port " + c.Port
	if to == nil {
		m.own(from, KindStray, false, what, do)
		return
	}
	m.between(from, to, KindStray, CellStray, what, do)
}

// byHand reports whether a manually created port leads to another host.
func (h *MatrixHost) byHand(to *MatrixHost) bool {
	return slices.ContainsFunc(h.Cells, func(c Cell) bool { return c.Foreign && c.Remote == to.Underlay })
}

// judgeByHand finds the manually created tunnels of a host that it should
// adopt.
func (m *matrix) judgeByHand(from *MatrixHost) {
	n := 0
	for i := range m.tunnels[from.at] {
		if m.tunnels[from.at][i].byHand {
			n++
		}
	}
	if n > 0 {
		m.own(from, KindForeign, false, fmt.Sprintf("%s has tunnels made by hand (%d) where gremesh's should be", from.label(), n), "on "+from.label()+": gremesh adopt")
	}
}
