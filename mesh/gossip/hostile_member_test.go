package gossip

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// memberlist ends the process whose meta has more than 512 bytes.
func TestNoHostTakesAMeshsIDThatWouldNotFitItsMeta(t *testing.T) {
	tm := newTestMesh(t)
	member := tm.start(tm.config(1))
	cfg := tm.config(2)
	cfg.Seeds = []string{tm.address(9).String()} // so that it is of no mesh yet
	h2 := tm.start(cfg)
	eventually(t, "both listen", func() bool {
		return member.View().Mesh != "" && strings.Contains(logOf(h2), "no host could be joined yet")
	})
	member.sendPacket(h2.self, tm.address(2), packet{Mesh: strings.Repeat("x", 600)})
	member.sendPacket(h2.self, tm.address(2), packet{Mesh: member.View().Mesh})
	eventually(t, "it takes one that fits", func() bool { return h2.View().Mesh == member.View().Mesh })
}

func logOf(r *running) string { return r.cfg.Log.Handler().(logged).buffer.String() }

func TestWhatAHostSaysOfItselfDoesNotSteerATerminal(t *testing.T) {
	const escape = "\x1b]0;owned\a"
	good := meta{Protocol: protocol, Mesh: "4d35", Name: "h9", Pool: testSettings.Pool.Prefix, Bits: 24}
	for name, change := range map[string]func(*meta, *memberlist.Node){
		"mesh": func(m *meta, _ *memberlist.Node) { m.Mesh = escape },
		"name": func(m *meta, _ *memberlist.Node) { m.Name = escape },
		"ID":   func(_ *meta, n *memberlist.Node) { n.Name = escape },
	} {
		t.Run(name, func(t *testing.T) {
			tm := newTestMesh(t)
			cfg := tm.config(1)
			n, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			own := *n.delegate.meta.Load()
			own.Mesh = "another"
			n.delegate.meta.Store(&own)
			theirs, node := good, &memberlist.Node{Name: (lease.ID{9}).String(), Addr: net.IPv4(10, 0, 0, 9), Port: 7946}
			change(&theirs, node)
			node.Meta = encode(theirs)
			if err := n.delegate.NotifyAlive(node); err == nil || strings.ContainsAny(err.Error(), "\x1b\a") {
				t.Errorf("it is told in these words: %q", err)
			}
			if _, err := n.handle(n.delegate.inbox.take()); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(n.problems.list()); strings.ContainsAny(got, "\x1b\a") || !strings.Contains(got, "refused host") {
				t.Errorf("status has %q", got)
			}
		})
	}
}

// Whoever reaches the port can send datagrams with any source address.
func TestGossipThatCannotBeReadFillsNothing(t *testing.T) {
	tm := newTestMesh(t)
	n, err := New(tm.config(1))
	if err != nil {
		t.Fatal(err)
	}
	const many = 20000
	for i := range many {
		from := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)
		_, _ = fmt.Fprintf(logWriter{n}, "[ERR] memberlist: Decrypt packet failed: No installed keys could decrypt the message from=%s:7946", from)
	}
	events := n.delegate.inbox.take()
	if len(events) > inboxLimit {
		t.Errorf("%d events wait", len(events))
	}
	if _, err := n.handle(events); err != nil {
		t.Fatal(err)
	}
	n.viewDirty = false
	if _, err := n.handle(events[:100]); err != nil || n.viewDirty {
		t.Errorf("what is known makes the view anew: %v", err)
	}
	if got := len(n.problems.list()); got != unknownPacket.most() {
		t.Errorf("%d problems", got)
	}
	if lines := strings.Count(n.cfg.Log.Handler().(logged).buffer.String(), "level=WARN"); lines != unknownPacket.most() {
		t.Errorf("%d lines in the log", lines)
	}
	n.problems.set("disk", mesh.Problem{What: "full"}, forever) // is not kept out by those
	if list := n.problems.list(); list[0].What != "full" {
		t.Errorf("got %v", list[0])
	}
}

// A datagram that says so is not enough, nor one that is sent once more later.
func TestATwinThatDoesNotAnswerEndsNoAgent(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	data := encode(packet{Mesh: h1.View().Mesh, Duplicate: tm.address(9), Uptime: 1 << 60})
	h1.sendReliably(h2.self, tm.address(2), data)
	ended := make(chan error, 1)
	go func() { ended <- h2.wait() }()
	select {
	case err := <-ended:
		t.Error(err)
	case <-time.After(time.Second): // twice what it waits for an answer
	}
}
