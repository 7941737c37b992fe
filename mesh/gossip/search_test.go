package gossip

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func bootstrapping(tm *testMesh, i int) Config {
	cfg := tm.config(i)
	cfg.Bootstrap, cfg.Seeds = true, nil
	return cfg
}

func TestASecondFounderJoinsTheMeshOnItsNetwork(t *testing.T) {
	tm := newTestMesh(t)
	h1, h2 := tm.start(tm.config(1)), tm.start(tm.config(2))
	eventually(t, "2 hosts", func() bool { return whole(h1, h2) })
	h3 := tm.start(bootstrapping(tm, 3))
	eventually(t, "the third is one of them", func() bool { return whole(h1, h2, h3) })
	if h3.View().Mesh != h1.View().Mesh {
		t.Errorf("there are two meshes: %s and %s", h1.View().Mesh, h3.View().Mesh)
	}
	if text := logOf(h3); strings.Contains(text, "created a mesh") || !strings.Contains(text, "join the mesh on this network; create none") {
		t.Errorf("the log says\n%s", text)
	}
}

// One file that was copied to all hosts before the first start.
func TestOfSeveralFoundersOneCreatesTheMesh(t *testing.T) {
	tm := newTestMesh(t)
	var nodes []*running
	for i := range 4 {
		node, err := New(bootstrapping(tm, 5-i))
		if err != nil {
			t.Fatal(err)
		}
		node.seeking.lasts = 500 * time.Millisecond
		nodes = append(nodes, tm.run(node, node.cfg.Name))
	}
	eventually(t, "4 hosts", func() bool { return whole(nodes...) })
	founded := 0
	for _, n := range nodes {
		founded += strings.Count(logOf(n), "created a mesh")
		if n.View().Mesh != nodes[0].View().Mesh {
			t.Errorf("there are two meshes: %s and %s", n.View().Mesh, nodes[0].View().Mesh)
		}
	}
	if founded != 1 {
		t.Errorf("%d hosts created a mesh", founded)
	}
}

func TestAFounderWithOtherSettingsNamesTheHostThatItFound(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 has a mesh", func() bool { return h1.View().Self.Subnet.IsValid() })
	cfg := bootstrapping(tm, 3)
	cfg.Settings.Pool.Bits = 25
	var refusal *RefusedError
	err := tm.start(cfg).wait()
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "h1 at "+tm.address(1).String()) || !strings.Contains(err.Error(), "prefix is 24 there and 25 here") {
		t.Errorf("it ends with %v", err)
	}
}

func TestMeshesWithOtherKeysDoNotHinderAFounder(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 has a mesh", func() bool { return h1.View().Self.Subnet.IsValid() })
	cfg := bootstrapping(tm, 3)
	cfg.Keys = [][]byte{bytes.Repeat([]byte{8}, 32)}
	h3 := tm.start(cfg)
	eventually(t, "h3 has its own", func() bool { return h3.View().Self.Subnet.IsValid() })
	if h1.View().Mesh == h3.View().Mesh || len(h1.View().Problems) > 0 {
		t.Errorf("h1 says %v", h1.View().Problems)
	}
}

func TestAFounderThatHasItsMeshDoesNotSearch(t *testing.T) {
	tm := newTestMesh(t)
	cfg := tm.config(1)
	h1 := tm.start(cfg)
	eventually(t, "h1 has a mesh", func() bool { return h1.View().Self.Subnet.IsValid() })
	if err := h1.stop(); err != nil {
		t.Fatal(err)
	}
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	node.seeking.lasts = time.Hour
	h1 = tm.run(node, cfg.Name)
	eventually(t, "it goes on at once", func() bool {
		select {
		case <-h1.Ready():
			return true
		default:
			return false
		}
	})
}

// A question gets one answer, smaller than itself; an answer to another question
// is not heard, nor one that was recorded.
func TestAnswersAreBoundToTheirQuestion(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "h1 has a mesh", func() bool { return h1.View().Self.Subnet.IsValid() })
	n, err := New(bootstrapping(tm, 3))
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tm.address(3)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	ask := func(b beacon) (beacon, int, []byte) {
		t.Helper()
		packet := b.seal(n.cfg.Keys)
		if _, err := socket.WriteToUDPAddrPort(packet, tm.address(1)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, largestDatagram)
		_ = socket.SetReadDeadline(time.Now().Add(time.Second))
		for {
			size, err := socket.Read(buf)
			if err != nil {
				return beacon{}, len(packet), nil
			}
			if answer, err := openBeacon(n.cfg.Keys, buf[:size]); err == nil {
				return answer, len(packet), buf[:size]
			}
		}
	}
	question := beacon{Number: [16]byte{1}, ID: n.self, Name: "h3", Underlay: tm.address(3), Pad: make([]byte, questionSize)}
	answer, size, raw := ask(question)
	if answer.Mesh != h1.View().Mesh || answer.Number != question.Number || answer.Name != "h1" || len(raw) > size {
		t.Fatalf("%d bytes are answered with %d: %+v", size, len(raw), answer)
	}
	question.Pad = nil
	if answer, _, _ := ask(question); answer.Answer {
		t.Errorf("a question that is smaller than its answer is answered: %+v", answer)
	}
	question.Pad, question.Underlay = make([]byte, questionSize), tm.address(9)
	if answer, _, _ := ask(question); answer.Answer {
		t.Errorf("a question of another address is answered: %+v", answer)
	}

	n.seeking.ask([16]byte{2})
	n.hearBeacon(raw, tm.address(1), nil)
	if got := n.seeking.answered(); len(got) != 0 {
		t.Errorf("an answer to another question is heard: %+v", got)
	}
	n.seeking.ask([16]byte{1})
	n.hearBeacon(raw, tm.address(7), nil)
	if got := n.seeking.answered(); len(got) != 0 {
		t.Errorf("an answer from another address is heard: %+v", got)
	}
	n.hearBeacon(raw, tm.address(1), nil)
	if got := n.seeking.answered(); len(got) != 1 {
		t.Errorf("its answer is not heard: %+v", got)
	}
}

func TestTheLowestOfSeveralFoundersGoesOn(t *testing.T) {
	at := func(i byte) netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 7946) }
	heard := []beacon{{Underlay: at(3)}, {Underlay: at(5), Mesh: "4d35"}}
	if _, wait := rival(heard, at(2)); wait {
		t.Error("the lowest waits")
	}
	if other, wait := rival(heard, at(4)); !wait || other.Underlay != at(3) {
		t.Errorf("the other does not wait, but for %+v", other)
	}
	if in := members(heard); len(in) != 1 || in[0].Underlay != at(5) {
		t.Errorf("members: %+v", in)
	}
}
