package pathmtu

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	answersWithin    = 300 * time.Millisecond // timeout for one answer
	longestIPPackage = 65535                  // bytes
)

// socket sends echo requests of a given size and receives the answers.
type socket struct {
	conn *net.IPConn
	icmp family
	id   uint16
	// limited is called for every received "fragmentation needed", with the
	// destination of the packet and the limit in bytes. The packet may come from
	// any sender on this host, for example from a tunnel.
	limited func(to netip.Addr, limit int)

	mu      sync.Mutex
	last    uint16            // the last sequence number
	waiting map[uint16]waiter // by sequence number
}

// waiter is a call of ask that waits for its answer.
type waiter struct {
	to     netip.Addr
	answer chan Answer // capacity 1
}

// open returns a socket bound to source, an address of this host. The caller must
// run read in a goroutine and call close.
func open(ctx context.Context, source netip.Addr, limited func(netip.Addr, int)) (*socket, error) {
	icmp := familyOf(source)
	listen := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = icmp.prepare(int(fd)) })
		return errors.Join(err, failed)
	}}
	conn, err := listen.ListenPacket(ctx, icmp.network, source.String())
	if err != nil {
		return nil, fmt.Errorf("open an ICMP socket at %s: %w", source, err)
	}
	return &socket{conn: conn.(*net.IPConn), icmp: icmp, id: uint16(rand.N(1 << 16)), limited: limited, waiting: make(map[uint16]waiter)}, nil
}

// close closes the socket, which makes read return.
func (s *socket) close() { _ = s.conn.Close() }

// ask sends one packet of size bytes, including its IP header, and waits for the
// answer. It returns the zero Answer after answersWithin. An error means that the
// packet could not be sent, or that ctx has ended. Any goroutine may call ask.
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
	if _, err := s.conn.WriteTo(s.icmp.echo(s.id, seq, size), &net.IPAddr{IP: to.AsSlice()}); err != nil {
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

// read receives answers until the socket is closed.
func (s *socket) read() {
	buf := make([]byte, longestIPPackage)
	for {
		n, from, err := s.conn.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as a pending error of the socket, which this read has cleared
			continue
		}
		addr, _ := netip.AddrFromSlice(from.IP)
		r, ok := s.icmp.parse(buf[:n])
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
			default: // it already has an answer
			}
		}
	}
}
