package load

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's transport over one address. Unlike memberlist's own
// transport it does not allocate 64 kB for each datagram, and its connections
// come from its address. It has no limits.
type transport struct {
	at      netip.AddrPort
	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn // shared by all hosts of a crowd
	closed  chan struct{}
	readers sync.WaitGroup
}

const (
	largestDatagram = 65536
	datagramsQueued = 2 << 20 // bytes in the kernel; as a gremesh host
)

// listen opens the sockets and starts the goroutines that read them. Shutdown
// ends both. Connections to this address go to streams.
func listen(at netip.AddrPort, streams chan net.Conn) (*transport, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	if err := udp.SetReadBuffer(datagramsQueued); err != nil {
		return nil, errors.Join(err, tcp.Close(), udp.Close())
	}
	t := &transport{at: at, udp: udp, tcp: tcp, packets: make(chan *memberlist.Packet), streams: streams, closed: make(chan struct{})}
	t.readers.Go(t.readPackets)
	t.readers.Go(t.acceptStreams)
	return t, nil
}

func (t *transport) readPackets() {
	buf := make([]byte, largestDatagram)
	for {
		size, from, err := t.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || size == 0 {
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: bytes.Clone(buf[:size]), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}:
		case <-t.closed:
			return
		}
	}
}

func (t *transport) acceptStreams() {
	for {
		conn, err := t.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		select {
		case t.streams <- conn:
		case <-t.closed:
			_ = conn.Close()
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.at.Addr().AsSlice(), int(t.at.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.udp.WriteToUDPAddrPort(b, to)
	return time.Now(), err
}

// DialTimeout implements memberlist.Transport. The measured host knows the
// hosts of the crowd by their addresses, and limits other addresses.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: t.at.Addr().AsSlice(), Zone: t.at.Addr().Zone()}}
	return dialer.DialContext(context.Background(), "tcp", addr)
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport.
func (t *transport) Shutdown() error {
	close(t.closed)
	err := errors.Join(t.udp.Close(), t.tcp.Close())
	t.readers.Wait()
	return err
}
