package masq

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forge sends IPv4 packets, headers included, as a process with CAP_NET_RAW can.
func forge(packets []string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written that matters
	for _, text := range packets {
		p, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])}); err != nil {
			return err
		}
	}
	return nil
}

// marked begins the text of a packet.
const marked = "text: "

// tunnelPacket is a packet of a tunnel type whose content is a text.
func tunnelPacket(kind, from, to, text string) string {
	protocol, content := byte(unix.IPPROTO_GRE), append([]byte{0, 0, 0x65, 0x58}, text...)
	if port := tunnelPorts[kind]; port != 0 {
		protocol = unix.IPPROTO_UDP
		udp := binary.BigEndian.AppendUint16(nil, 49152)
		udp = binary.BigEndian.AppendUint16(udp, port)
		udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(text)))
		content = append(append(udp, 0, 0), text...)
	}
	// The kernel fills in the length and the checksum, raw(7).
	p := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
	p = append(p, netip.MustParseAddr(from).AsSlice()...)
	p = append(p, netip.MustParseAddr(to).AsSlice()...)
	return hex.EncodeToString(append(p, content...))
}

// receiver collects the texts of tunnel packets that pass the host's packet
// filters: a socket is behind them, as a tunnel is.
type receiver struct {
	mu   sync.Mutex
	seen map[string]bool
}

func receive(t *testing.T, kinds []string) *receiver {
	t.Helper()
	r := &receiver{seen: map[string]bool{}}
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait) // after the sockets are closed
	for _, kind := range kinds {
		network, addr := "ip4:47", hostUnderlay
		if port := tunnelPorts[kind]; port != 0 {
			network, addr = "udp4", net.JoinHostPort(hostUnderlay, fmt.Sprint(port))
		}
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		readers.Go(func() {
			buffer := make([]byte, 200)
			for {
				n, _, err := c.ReadFrom(buffer)
				if err != nil {
					return
				}
				_, text, _ := strings.Cut(string(buffer[:n]), marked)
				r.mu.Lock()
				r.seen[text] = true
				r.mu.Unlock()
			}
		})
	}
	return r
}

func (r *receiver) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[text]
}

// TestTunnelPacketsAreTakenFromPeersOnly sends tunnel packets to the host by each
// of its devices. Open vSwitch is not needed: what passes the packet filters here
// is what it would receive.
func TestTunnelPacketsAreTakenFromPeersOnly(t *testing.T) {
	const (
		stranger, farEnd  = "192.168.248.77", "192.0.2.9"
		peer              = "a peer"
		aStranger         = "a stranger"
		aFarEnd           = "the far end of another tunnel"
		peerElsewhere     = "a peer's address on another device"
		strangerElsewhere = "a stranger on another device"
		farEndElsewhere   = "the far end of another tunnel on another device"
		inContainer       = "a container"
		peerInContainer   = "a peer's address in a container"
	)
	ways := []struct{ name, where, from string }{
		{peer, "p", peerUnderlay},
		{aStranger, "p", stranger},
		{aFarEnd, "p", farEnd},
		{peerElsewhere, "o", peerUnderlay},
		{strangerElsewhere, "o", outside},
		{farEndElsewhere, "o", farEnd},
		{inContainer, "c", container},
		{peerInContainer, "c", peerUnderlay},
	}
	kinds := append(slices.Sorted(maps.Keys(tunnelPorts)), "gre")
	l := build(t)
	l.sh("ip -n " + namespaceOf("o") + " route add " + hostUnderlay + " via " + hostOutside)
	r := receive(t, kinds)
	for _, tt := range []struct {
		name   string
		change func(*Rules)
		passes []string
	}{
		{"no rules", func(r *Rules) { *r = Rules{} },
			[]string{peer, aStranger, aFarEnd, peerElsewhere, strangerElsewhere, farEndElsewhere, inContainer, peerInContainer}},
		{"kernel datapath", func(r *Rules) { r.Guard.Others = []netip.Addr{netip.MustParseAddr(farEnd)} },
			[]string{peer, aFarEnd, farEndElsewhere}},
		{"another program takes packets from any address", func(r *Rules) { r.Guard.Wild = kinds },
			[]string{peer, aStranger, aFarEnd, strangerElsewhere, farEndElsewhere}},
		{"no device has the underlay address", func(r *Rules) { r.Guard.Link = "" },
			[]string{peer, peerElsewhere}},
		{"userspace datapath", func(r *Rules) { r.Guard.Tunnels = nil },
			[]string{peer, aStranger, aFarEnd, peerElsewhere, strangerElsewhere, farEndElsewhere}},
	} {
		want := guardedRules()
		want.Guard.Tunnels = kinds
		tt.change(&want)
		l.reach(want)
		for _, kind := range kinds {
			text := func(way string) string { return tt.name + ", " + kind + " from " + way }
			packets := map[string][]string{}
			for _, w := range ways {
				packets[w.where] = append(packets[w.where], tunnelPacket(kind, w.from, hostUnderlay, marked+text(w.name)))
			}
			// One that passes tells when all before it have, or have not.
			last := text("the last")
			packets["p"] = append(packets["p"], tunnelPacket(kind, peerUnderlay, hostUnderlay, marked+last))
			for _, where := range []string{"c", "o", "p"} {
				if err := l.in(where, "forge", packets[where]...).Run(); err != nil {
					t.Fatalf("%s: send from %s: %v", kind, where, err)
				}
			}
			for deadline := time.Now().Add(5 * time.Second); !r.has(last); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s does not arrive", last)
				}
			}
			for _, w := range ways {
				if got, want := r.has(text(w.name)), slices.Contains(tt.passes, w.name); got != want {
					t.Errorf("%s: received %v, want %v", text(w.name), got, want)
				}
			}
		}
	}
	l.reach(Rules{})
}
