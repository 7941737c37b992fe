package mesh

import "fmt"

// judgePaths finds tunnels whose path carries nothing although their
// configuration is correct and BFD is up. BFD cannot detect such faults,
// because its packets do not pass br0's flows, VLAN tags and spanning trees,
// nor docker0.
func (m *matrix) judgePaths() {
	for i, a := range m.hosts {
		for _, b := range m.hosts[i+1:] {
			there, back := m.tunnel(a, b), m.tunnel(b, a)
			if there.path() == PathDown && back.path() == PathDown {
				m.between(a, b, KindPath, CellPathDown, fmt.Sprintf("the path between %s and %s carries no packets either way, although the tunnel is up", a.label(), b.label()),
					"on both: gremesh audit; ovs-ofctl dump-flows br0; ovs-vsctl list port; bridge -d link")
				back.State, back.cause = CellPathDown, true
				continue
			}
			m.judgePath(a, b)
			m.judgePath(b, a)
		}
	}
}

func (m *matrix) judgePath(from, to *MatrixHost) {
	t := m.tunnel(from, to)
	switch t.path() {
	case PathDown:
		m.between(from, to, KindPath, CellPathDown, fmt.Sprintf("%s's probes to %s are not answered, although the tunnel is up", from.label(), to.label()),
			fmt.Sprintf("on %s and %s: gremesh audit; ovs-ofctl dump-flows br0; bridge -d link", to.label(), from.label()))
	case PathSmallOnly:
		m.between(from, to, KindPathMTU, CellSmallOnly, fmt.Sprintf("only small packets pass from %s to %s: those of docker0's MTU (%d) are lost", from.label(), to.label(), from.MTU),
			fmt.Sprintf("compare the MTUs on the way; on %s: tracepath -n %s; gremesh audit", from.label(), to.Underlay))
	case PathUnknown:
		m.between(from, to, KindStarting, CellStarting, fmt.Sprintf("the path from %s to %s is being probed", from.label(), to.label()), "wait 2 s, or in a mesh of many hosts 2 minutes")
	}
}

// path returns the result of the probes of a tunnel that has no other fault. It
// is empty if the tunnel has another fault, or if the host does not probe.
func (t *tunnel) path() string {
	if t.State != CellUp {
		return ""
	}
	return t.Path
}

// roundTrips adds the results of the probes of all tunnels.
func (m *matrix) roundTrips(audit *FullAudit) {
	loss, probed := 0.0, 0
	for i := range m.tunnels {
		for j := range m.tunnels[i] {
			t := &m.tunnels[i][j]
			if t.Path == "" || t.Path == PathUnknown {
				continue
			}
			probed++
			loss += t.Loss
			if t.RoundTrip > 0 && (audit.LeastRoundTrip == 0 || t.RoundTrip < audit.LeastRoundTrip) {
				audit.LeastRoundTrip = t.RoundTrip
			}
			audit.MostRoundTrip = max(audit.MostRoundTrip, t.RoundTrip)
		}
	}
	if probed > 0 {
		audit.Loss = loss / float64(probed)
	}
}
