package mesh

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
)

var ours, other = netip.MustParsePrefix("192.168.248.0/24"), netip.MustParsePrefix("192.168.249.0/24")

func TestBothMustTakeDirectPackets(t *testing.T) {
	at := func(addr string, direct netip.Prefix) Host {
		return Host{Underlay: netip.MustParseAddr(addr), Direct: direct}
	}
	for _, tt := range []struct {
		self, peer Host
		why        string // words of it; empty: no tunnel is needed
	}{
		{at("192.168.248.139", ours), at("192.168.248.140", ours), ""},
		{at("192.168.248.139", netip.Prefix{}), at("192.168.248.140", ours), "this host takes no"},
		{at("192.168.248.139", ours), at("192.168.248.140", netip.Prefix{}), "it takes no"},
		{at("192.168.248.139", ours), at("192.168.249.140", other), "another underlay subnet"},
		{at("192.168.248.139", ours), at("192.168.248.140", netip.MustParsePrefix("192.168.248.0/23")), "192.168.248.0/23"},
	} {
		why := tunnelled(tt.self, tt.peer)
		if back := tunnelled(tt.peer, tt.self); (why == "") != (back == "") {
			t.Errorf("%+v and %+v do not agree: %q, %q", tt.self, tt.peer, why, back)
		}
		if (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%+v to %+v: %q, want %q", tt.self, tt.peer, why, tt.why)
		}
	}
}

func TestWhatDockerDropsIsNotAskedFor(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	l.cfg.Direct = true
	w.docker.Obstacle, w.docker.Takes = "restart Docker", true
	w.docker.Direct = "true"
	pass(t, l)
	if w.open {
		t.Error("the others are told that direct packets get through")
	}
	said := l.Status(t.Context()).Problems
	if len(said) != 1 || !strings.Contains(said[0].What, "restart Docker") {
		t.Errorf("status says %+v", said)
	}
	if w.restarts != 0 {
		t.Error("Docker was restarted")
	}
	w.docker.Obstacle = ""
	pass(t, l)
	if said := l.Status(t.Context()).Problems; !w.open || len(said) != 0 {
		t.Errorf("told the others: %v; status says %+v", w.open, said)
	}
}

func TestTheKeyAloneRestartsNothing(t *testing.T) {
	desired := Desired{Docker: docker.Settings{Bip: netip.MustParsePrefix("172.17.42.1/24"), MTU: 1462, Direct: true}}
	have := docker.Actual{Bip: "172.17.42.1/24", MTU: 1462, Running: true, Takes: true}
	if (machine{docker: have}).restarts(desired) {
		t.Error("for the key alone Docker is restarted")
	}
	have.MTU = 1500
	if !(machine{docker: have}).restarts(desired) {
		t.Error("for the MTU it is not")
	}
}

func TestCausesOfWaysToPeers(t *testing.T) {
	bip, via := netip.MustParsePrefix("172.17.43.1/24"), netip.MustParseAddr("192.168.248.140")
	tunnel, direct := []bridge.Peer{{Bip: bip}}, []bridge.Peer{{Bip: bip, Via: via, Link: "eth0"}}
	for _, tt := range []struct {
		was, is []bridge.Peer
		why     string
	}{
		{nil, tunnel, "has come"},
		{tunnel, nil, "has gone"},
		{tunnel, direct, "needs no tunnel"},
		{direct, tunnel, "needs a tunnel"},
		{direct, []bridge.Peer{{Bip: bip, Via: via.Next(), Link: "eth0"}}, "has moved from 192.168.248.140 to 192.168.248.141"},
		{direct, direct, ""},
	} {
		now, last := hostScene{want: bridge.Host{Peers: tt.is}}, hostScene{want: bridge.Host{Peers: tt.was}}
		if why := now.peerCause(last, "route 172.17.43.0/24"); !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%v -> %v: %q, want %q", tt.was, tt.is, why, tt.why)
		}
	}
}
