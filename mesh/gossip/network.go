package gossip

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

const (
	largestDatagram = 65536
	datagramsQueued = 2 << 20                // bytes in the kernel; it gives less where net.core.rmem_max is less
	listenAgain     = 100 * time.Millisecond // after an error, such as of too many open files
	// streamLimit is for all that is sent by one connection. Who takes it reads
	// for tcpTimeout at the most; memberlist itself sets no limit for messages.
	streamLimit = 2 * tcpTimeout
)

// network is memberlist's transport over one address. memberlist's own takes a
// new buffer of 64 kB for each datagram, which makes a host at rest collect
// garbage all the time; this one keeps what has come and no more.
type network struct {
	at      netip.AddrPort
	udp     *net.UDPConn
	tcp     *net.TCPListener
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}
	readers sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*network)(nil)

// listen opens both sockets; Shutdown ends what it starts.
func listen(at netip.AddrPort) (*network, error) {
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
	n := &network{at: at, udp: udp, tcp: tcp, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closed: make(chan struct{})}
	n.readers.Go(n.readPackets)
	n.readers.Go(n.acceptStreams)
	return n, nil
}

func (n *network) readPackets() {
	buf := make([]byte, largestDatagram)
	for {
		size, from, err := n.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !n.again(err) {
				return
			}
			continue
		}
		if size == 0 {
			continue
		}
		select {
		case n.packets <- &memberlist.Packet{Buf: bytes.Clone(buf[:size]), From: net.UDPAddrFromAddrPort(from), Timestamp: time.Now()}:
		case <-n.closed:
			return
		}
	}
}

func (n *network) acceptStreams() {
	for {
		conn, err := n.tcp.AcceptTCP()
		if err != nil {
			if !n.again(err) {
				return
			}
			continue
		}
		select {
		case n.streams <- conn:
		case <-n.closed:
			_ = conn.Close()
			return
		}
	}
}

// again reports whether a socket is to be read once more after an error.
func (n *network) again(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	select {
	case <-n.closed:
		return false
	case <-time.After(listenAgain):
		return true
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (n *network) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return n.at.Addr().AsSlice(), int(n.at.Port()), nil
}

// WriteTo implements memberlist.Transport.
func (n *network) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = n.udp.WriteToUDPAddrPort(b, to)
	return time.Now(), err
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (n *network) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	return n.WriteTo(b, to.Addr)
}

// DialTimeout implements memberlist.Transport.
func (n *network) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(streamLimit))
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (n *network) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return n.DialTimeout(to.Addr, timeout)
}

// PacketCh implements memberlist.Transport.
func (n *network) PacketCh() <-chan *memberlist.Packet { return n.packets }

// StreamCh implements memberlist.Transport.
func (n *network) StreamCh() <-chan net.Conn { return n.streams }

// Shutdown implements memberlist.Transport.
func (n *network) Shutdown() error {
	close(n.closed)
	err := errors.Join(n.udp.Close(), n.tcp.Close())
	n.readers.Wait()
	return err
}
