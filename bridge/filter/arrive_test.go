package filter

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forge sends IP packets, headers included, as a process with CAP_NET_RAW can. The
// sockets are closed with the process.
func forge(packets []string) error {
	for _, text := range packets {
		p, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte(p[16:20])})
		if p[0]>>4 == 6 {
			family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte(p[24:40])}
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, p, 0, to); err != nil {
			return err
		}
	}
	return nil
}

// marked begins the text of a packet.
const marked = "text: "

// tunnelKey is that of the tunnels, which everybody is taken to know.
const tunnelKey = 77

// tunnelPacket is a packet of a tunnel type, with the key and a content.
func tunnelPacket(kind, from, to string, content []byte) string {
	headers := map[string][]byte{
		"gre":    {0x20, 0, 0x65, 0x58, 0, 0, 0, tunnelKey}, // RFC 2784, RFC 2890
		"vxlan":  {8, 0, 0, 0, 0, 0, tunnelKey, 0},          // RFC 7348
		"geneve": {0, 0, 0x65, 0x58, 0, 0, tunnelKey, 0},    // RFC 8926
	}
	protocol, content := byte(unix.IPPROTO_GRE), append(headers[kind], content...)
	if port := tunnelPorts[kind]; port != 0 {
		protocol, content = unix.IPPROTO_UDP, udpDatagram(port, content)
	}
	if netip.MustParseAddr(to).Is6() {
		return hex.EncodeToString(ipv6Packet(protocol, from, to, content))
	}
	return hex.EncodeToString(ipv4Packet(protocol, from, to, content))
}

// udpDatagram is a datagram without a checksum (RFC 768).
func udpDatagram(port uint16, content []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, 49152)
	udp = binary.BigEndian.AppendUint16(udp, port)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(content)))
	return append(append(udp, 0, 0), content...)
}

// ipv4Packet is a packet (RFC 791).
func ipv4Packet(protocol byte, from, to string, content []byte) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(content)))
	h = append(h, 0, 0, 0, 0, 64, protocol, 0, 0)
	h = append(h, netip.MustParseAddr(from).AsSlice()...)
	h = append(h, netip.MustParseAddr(to).AsSlice()...)
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum>>16+sum))
	return append(h, content...)
}

// ipv6Packet is a packet (RFC 8200).
func ipv6Packet(protocol byte, from, to string, content []byte) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(content)))
	h = append(h, protocol, 64)
	h = append(h, netip.MustParseAddr(from).AsSlice()...)
	h = append(h, netip.MustParseAddr(to).AsSlice()...)
	return append(h, content...)
}

// receiver collects the texts of tunnel packets that pass the host's packet
// filters: a socket is behind them, as a tunnel is.
type receiver struct {
	mu   sync.Mutex
	seen map[string]bool
}

// receive listens at addresses, each with its network before it: "udp4 ADDR:PORT".
func receive(t *testing.T, at ...string) *receiver {
	t.Helper()
	r := &receiver{seen: map[string]bool{}}
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait) // after the sockets are closed
	for _, a := range at {
		network, addr, _ := strings.Cut(a, " ")
		c, err := listening.ListenPacket(t.Context(), network, addr)
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

// listening opens sockets that take UDP over IPv6 without a checksum, as tunnels may
// (RFC 6935).
var listening = net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
	const noCheck6RX = 102 // UDP_NO_CHECK6_RX of linux/udp.h
	if network != "udp6" {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_UDP, noCheck6RX, 1) })
	return errors.Join(err, failed)
}}

func (r *receiver) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[text]
}

// kinds are all types of tunnels.
var kinds = append(slices.Sorted(maps.Keys(tunnelPorts)), "gre")

// send sends packets out of namespaces.
func (l *lab) send(packets map[string][]string) {
	l.Helper()
	for _, where := range slices.Sorted(maps.Keys(packets)) {
		if err := l.in(where, "forge", packets[where]...).Run(); err != nil {
			l.Fatalf("send from %s: %v", where, err)
		}
	}
}

// meet has every namespace know the MAC address by which it reaches the host. What
// waits for one may be overtaken.
func (l *lab) meet(host string) {
	l.Helper()
	for _, where := range []string{"c", "o", "p"} {
		l.sh("nsenter --net=/run/netns/" + namespaceOf(where) + " ping -nq -c 1 -w 20 " + host)
	}
}

// last waits for a packet of the peer, which passes: all before it have passed
// then, or have not.
func (l *lab) last(r *receiver, text, packet string) {
	l.Helper()
	for deadline := time.Now().Add(20 * time.Second); !r.has(text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%s does not arrive", text)
		}
		l.send(map[string][]string{"p": {packet}})
	}
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
	l := build(t)
	l.sh("ip -n " + namespaceOf("o") + " route add " + hostUnderlay + " via " + hostOutside)
	l.meet(hostUnderlay)
	r := receive(t, "ip4:47 "+hostUnderlay, fmt.Sprintf("udp4 %s:%d", hostUnderlay, tunnelPorts["vxlan"]),
		fmt.Sprintf("udp4 %s:%d", hostUnderlay, tunnelPorts["geneve"]))
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
			content := func(text string) []byte { return []byte(marked + text) }
			packets := map[string][]string{}
			for _, w := range ways {
				packets[w.where] = append(packets[w.where], tunnelPacket(kind, w.from, hostUnderlay, content(text(w.name))))
			}
			l.send(packets)
			l.last(r, text("the last"), tunnelPacket(kind, peerUnderlay, hostUnderlay, content(text("the last"))))
			for _, w := range ways {
				if got, want := r.has(text(w.name)), slices.Contains(tt.passes, w.name); got != want {
					t.Errorf("%s: received %v, want %v", text(w.name), got, want)
				}
			}
		}
	}
	l.reach(Rules{})
}
