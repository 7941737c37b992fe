package mesh

import (
	"cmp"
	"fmt"
)

// judgePackets finds pairs of hosts that lose packets although both ends are
// configured. It compares the states of the two ends of a BFD session. An end
// that receives packets but is not heard by the other end is in state "init"
// (RFC 5880, section 6.2).
func (m *matrix) judgePackets() {
	for i, a := range m.hosts {
		for _, b := range m.hosts[i+1:] {
			there, back := m.tunnel(a, b), m.tunnel(b, a)
			if there.cause || back.cause {
				there.showSilent()
				back.showSilent()
				continue
			}
			m.judgeSession(a, b, there, back)
		}
	}
}

func (m *matrix) judgeSession(a, b *MatrixHost, there, back *tunnel) {
	one, other := there.bfd(), back.bfd()
	if a.State != Answers { // make a the host that answered
		a, b, there, back, one, other = b, a, back, there, other, one
	}
	if a.State != Answers || b.State == string(Failed) || b.State == New {
		there.showDown()
		return
	}
	switch {
	case one == "":
		back.showDown()
	case one == "up" && (other == "" || other == "up"):
	case one == "init" && other != "init" && other != "up":
		m.oneWay(a, b, back)
	case one == "down" && (other == "init" || other == "up"):
		m.oneWay(b, a, there)
	case other == "down" && one == "up":
		m.oneWay(a, b, back)
	case one == "down" && other == "":
		m.between(a, b, KindDown, CellDown, fmt.Sprintf("nothing arrives at %s by its tunnel from %s, which has not told how it is there", a.label(), b.label()), allow(a, b, there))
	case one == "down" && other == "down":
		m.between(a, b, KindDown, CellLost, fmt.Sprintf("nothing passes between %s and %s either way, although their agents answer", a.label(), b.label()), allow(a, b, there))
		back.State = CellLost
	default:
		m.between(a, b, KindStarting, CellStarting, fmt.Sprintf("the tunnel between %s and %s is not up yet: BFD is %s there and %s here", a.label(), b.label(), one, cmp.Or(other, "unknown")),
			"wait 2 s; then, on both: ovs-appctl bfd/show")
		back.State = CellStarting
	}
}

// bfd returns the session state at one end. It is empty if the state is not
// known, or BFD is not enabled.
func (t *tunnel) bfd() string {
	if !t.Configured {
		return ""
	}
	return t.BFD
}

// showDown marks a tunnel as down if its BFD session is down. It adds no
// finding, because the cause is elsewhere and has already been reported.
func (t *tunnel) showDown() {
	if bfd := t.bfd(); t.State == CellUp && bfd != "" && bfd != "up" {
		t.State = CellDown
	}
}

// showSilent does the same as showDown, and also marks a tunnel as down if its
// path is down.
func (t *tunnel) showSilent() {
	if t.showDown(); t.path() == PathDown {
		t.State = CellDown
	}
}

// oneWay adds a finding for the direction in which packets are lost.
func (m *matrix) oneWay(from, to *MatrixHost, back *tunnel) {
	t := m.tunnel(from, to)
	known := t.State != CellUnknown
	m.between(from, to, KindOneWay, CellLost, fmt.Sprintf("one way only: what %s sends to %s does not arrive, what %s sends to %s does",
		from.label(), to.label(), to.label(), from.label()), allow(from, to, t))
	if !known { // the finding reports the loss, but the host itself has reported nothing
		t.State = CellUnknown
	}
	if back.State == CellUp {
		back.State = CellDown
	}
}

func allow(from, to *MatrixHost, t *tunnel) string {
	protocol, name := protocolOf(t.Type)
	return fmt.Sprintf("allow %s (%s) from %s to %s in the firewalls of both and between them", protocol, name, from.Underlay, to.Underlay)
}
