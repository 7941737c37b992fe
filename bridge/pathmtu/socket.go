package pathmtu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ICMP, RFC 792 and RFC 1191.
const (
	typeEchoReply    = 0
	typeUnreachable  = 3
	typeEcho         = 8
	codeFragNeeded   = 4
	ipHeader         = 20 // bytes, without options
	icmpHeader       = 8
	protocolICMP     = 1
	icmpFilter       = 1 // ICMP_FILTER, raw(7)
	answersWithin    = 300 * time.Millisecond
	longestIPPackage = 65535
)

// socket sends echo requests of a given size and hears what becomes of them.
type socket struct {
	conn *net.IPConn
	id   uint16
	// limited is told of every "fragmentation needed" about packets to a peer,
	// whoever sent them: tunnels do.
	limited func(to netip.Addr, limit int)

	mu      sync.Mutex
	last    uint16
	waiting map[uint16]waiter // by sequence number
}

type waiter struct {
	to     netip.Addr
	answer chan Answer // capacity 1
}

// open binds to an address of this host.
func open(ctx context.Context, source netip.Addr, limited func(netip.Addr, int)) (*socket, error) {
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
				unix.SetsockoptInt(int(fd), unix.SOL_RAW, icmpFilter, ^(1<<typeEchoReply|1<<typeUnreachable)),
			)
		})
		return errors.Join(err, failed)
	}}
	conn, err := listen.ListenPacket(ctx, "ip4:icmp", source.String())
	if err != nil {
		return nil, fmt.Errorf("open an ICMP socket at %s: %w", source, err)
	}
	return &socket{conn: conn.(*net.IPConn), id: uint16(rand.N(1 << 16)), limited: limited, waiting: make(map[uint16]waiter)}, nil
}

// close ends read.
func (s *socket) close() { _ = s.conn.Close() }

// ask sends one packet of so many bytes, its IP header among them, and waits for
// what comes of it. The error is about sending.
func (s *socket) ask(ctx context.Context, to netip.Addr, size int) (Answer, error) {
	w := waiter{to, make(chan Answer, 1)}
	s.mu.Lock()
	s.last++
	seq := s.last
	s.waiting[seq] = w
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, seq)
		s.mu.Unlock()
	}()
	if _, err := s.conn.WriteTo(echo(s.id, seq, size), &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return Answer{}, fmt.Errorf("send %d bytes to %s: %w", size, to, err)
	}
	select {
	case a := <-w.answer:
		return a, nil
	case <-time.After(answersWithin):
		return Answer{}, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// read hears answers until the socket is closed.
func (s *socket) read() {
	buf := make([]byte, longestIPPackage)
	for {
		n, from, err := s.conn.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as a pending error of the socket's, which reading it has cleared
			continue
		}
		addr, _ := netip.AddrFromSlice(from.IP)
		r, ok := parse(buf[:n])
		if !ok {
			continue
		}
		if r.limit > 0 {
			s.limited(r.about, r.limit)
		}
		if !r.echo || r.id != s.id {
			continue
		}
		if r.limit == 0 {
			r.about = addr.Unmap()
		}
		s.mu.Lock()
		w, known := s.waiting[r.seq]
		s.mu.Unlock()
		if known && w.to == r.about {
			select {
			case w.answer <- Answer{Passed: r.limit == 0, Limit: r.limit}:
			default: // it has one
			}
		}
	}
}

// echo is an echo request that makes an IP packet of size bytes.
func echo(id, seq uint16, size int) []byte {
	b := make([]byte, size-ipHeader)
	b[0] = typeEcho
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// report is an ICMP message that matters here.
type report struct {
	echo    bool // about an echo request: id and seq are its own
	id, seq uint16
	limit   int        // bytes, of "fragmentation needed"; 0: an echo reply
	about   netip.Addr // with limit, where the packet was to go
}

// parse reads an ICMP message without its IP header.
func parse(b []byte) (r report, ok bool) {
	if len(b) < icmpHeader {
		return r, false
	}
	if b[0] == typeEchoReply {
		return report{echo: true, id: binary.BigEndian.Uint16(b[4:]), seq: binary.BigEndian.Uint16(b[6:])}, true
	}
	inner := b[icmpHeader:]
	if b[0] != typeUnreachable || b[1] != codeFragNeeded || len(inner) < ipHeader || inner[0]>>4 != 4 {
		return r, false
	}
	r.limit = int(binary.BigEndian.Uint16(b[6:]))
	r.about = netip.AddrFrom4([4]byte(inner[16:20]))
	header := int(inner[0]&0xf) * 4
	if inner[9] == protocolICMP && header >= ipHeader && len(inner) >= header+icmpHeader && inner[header] == typeEcho {
		r.echo, r.id, r.seq = true, binary.BigEndian.Uint16(inner[header+4:]), binary.BigEndian.Uint16(inner[header+6:])
	}
	return r, r.limit > 0
}
