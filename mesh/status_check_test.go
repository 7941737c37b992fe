package mesh

import "testing"

func TestHealthyIsAStatusWithoutComplaints(t *testing.T) {
	w := planned(testHost(2), testHost(3))
	l := w.loop()
	pass(t, l)
	for _, tt := range []struct {
		name    string
		change  func(*Status)
		healthy bool
	}{
		{"as planned", func(*Status) {}, true},
		{"a problem", func(s *Status) { s.Problems = []Problem{{What: "x"}} }, false},
		{"no lease", func(s *Status) { s.Host.Lease = "waiting" }, false},
		{"Open vSwitch is down", func(s *Status) { s.Host.OVS = "down" }, false},
		{"before the first pass", func(s *Status) { s.Host.OVS = "" }, false},
		{"a tunnel is down", func(s *Status) { s.Peers[0].Tunnel.BFD = "down" }, false},
		{"a tunnel is missing", func(s *Status) { s.Peers[1].Tunnel = TunnelStatus{} }, false},
		{"a tunnel's error", func(s *Status) { s.Peers[1].Tunnel.Error = "x" }, false},
		{"a failed peer", func(s *Status) { s.Peers[0].State, s.Peers[0].Tunnel.BFD = string(Failed), "down" }, true},
		{"a path is up", func(s *Status) { s.Peers[0].Path = &PathStatus{Up: true} }, true},
		{"a path is down", func(s *Status) { s.Peers[0].Path = &PathStatus{} }, false},
		{"only small packets pass", func(s *Status) { s.Peers[0].Path = &PathStatus{Up: true, SmallOnly: true} }, false},
		{"without BFD", func(s *Status) { s.Peers[0].Tunnel.BFD = "" }, true},
	} {
		status := l.Status(t.Context())
		tt.change(&status)
		if got := status.Healthy(); got != tt.healthy {
			t.Errorf("%s: healthy is %t", tt.name, got)
		}
	}
}
