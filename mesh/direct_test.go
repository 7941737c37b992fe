package mesh

import (
	"net/netip"
	"strings"
	"testing"
	"time"

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
	w.docker.Obstacle, w.docker.SupportsDirectKey = "restart Docker", true
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

func TestAHostWhoseDockerHasAnotherBipTakesNoDirectPackets(t *testing.T) {
	w := staleDocker()
	w.takes = func() { w.docker.NeedsRestart = false }
	l := w.loop()
	l.cfg.Direct = true
	w.open = true
	l.pass(t.Context())
	if w.open {
		t.Error("the others are told that direct packets get through, while Docker has not been restarted")
	}
	afterRestart(t, l)
	pass(t, l)
	if w.docker.NeedsRestart || !w.open {
		t.Errorf("Docker is restarted: %v, and the others are told so: %v", !w.docker.NeedsRestart, w.open)
	}
}

func TestTheKeyAloneRestartsNothing(t *testing.T) {
	desired := Desired{Docker: docker.Settings{Bip: netip.MustParsePrefix("172.17.42.1/24"), MTU: 1462, Direct: true}}
	have := docker.State{Bip: "172.17.42.1/24", MTU: 1462, Running: true, SupportsDirectKey: true}
	if (machine{docker: have}).restarts(desired) {
		t.Error("for the key alone Docker is restarted")
	}
	have.Bip = "172.17.43.1/24"
	if !(machine{docker: have}).restarts(desired) {
		t.Error("for the bip it is not")
	}
}

func TestCausesOfWaysToPeers(t *testing.T) {
	bip, via := netip.MustParsePrefix("172.17.43.1/24"), netip.MustParseAddr("192.168.248.140")
	tunnel, direct := []bridge.Peer{{Bip: bip}}, []bridge.Peer{{Bip: bip, Via: via, Link: "eth0"}}
	h2 := testHost(2) // has 172.17.43.0/24
	moved, left := h2, h2
	moved.Subnet, left.Liveness = netip.MustParsePrefix("172.17.99.0/24"), Left
	for _, tt := range []struct {
		was, is []bridge.Peer
		why     string
		before  []Host // as gossip knew them
		now     []Host
	}{
		{nil, tunnel, "h2 joined", nil, []Host{h2}},
		{nil, tunnel, "h2 has another subnet", []Host{moved}, []Host{h2}},
		{tunnel, nil, "h2 has another subnet", []Host{h2}, []Host{moved}},
		{tunnel, nil, "h2 left", []Host{h2}, []Host{left}},
		{tunnel, nil, "h2 is gone", []Host{h2}, nil},
		{tunnel, direct, "needs no tunnel", nil, nil},
		{direct, tunnel, "needs a tunnel", nil, nil},
		{direct, []bridge.Peer{{Bip: bip, Via: via.Next(), Link: "eth0"}}, "has moved from 192.168.248.140 to 192.168.248.141", nil, nil},
		{direct, direct, "", nil, nil},
	} {
		now, last := hostScene{want: bridge.Spec{Peers: tt.is}, peers: tt.now}, hostScene{want: bridge.Spec{Peers: tt.was}, peers: tt.before}
		if why := now.peerCause(last, keyOf("route 172.17.43.0/24")); !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%v -> %v: %q, want %q", tt.was, tt.is, why, tt.why)
		}
	}
}

func TestAPathWithoutAnswersIsLeftForAnHour(t *testing.T) {
	w := planned(testHost(2))
	l := w.loop()
	self := w.view.Self
	path := directPath{testHost(2).ID, self.Underlay, testHost(2).Underlay}
	now := time.Unix(1_000_000, 0)
	at := func(after time.Duration, answered bool) (deaf, woken bool) {
		l.paths.note(now.Add(after), map[directPath]bool{path: answered})
		select {
		case <-l.paths.changed:
			woken = true
		default:
		}
		return l.cfg.Membership.View().Peers[0].Deaf, woken
	}
	for _, step := range []struct {
		after       time.Duration
		answered    bool
		deaf, woken bool
	}{
		{0, false, false, false},
		{4 * time.Second, false, false, false},
		{5 * time.Second, true, false, false}, // one answer is enough
		{6 * time.Second, false, false, false},
		{11 * time.Second, false, true, true},
	} {
		if deaf, woken := at(step.after, step.answered); deaf != step.deaf || woken != step.woken {
			t.Fatalf("after %s: deaf %v, woken %v", step.after, deaf, woken)
		}
	}
	if len(deafProblems(l.cfg.Membership.View().Peers)) != 1 {
		t.Error("it is no problem")
	}
	w.view.Self.Underlay = self.Underlay.Next()
	if l.cfg.Membership.View().Peers[0].Deaf {
		t.Error("it has no other chance from another address")
	}
	w.view.Self.Underlay = self.Underlay
	l.paths.note(now.Add(time.Hour), nil)
	if !l.cfg.Membership.View().Peers[0].Deaf {
		t.Error("tried again too soon")
	}
	l.paths.note(now.Add(time.Hour+11*time.Second), nil)
	if l.cfg.Membership.View().Peers[0].Deaf {
		t.Error("not tried again")
	}
}
