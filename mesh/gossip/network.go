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
	datagramsQueued = 2 << 20                // bytes in the kernel; the kernel gives less if net.core.rmem_max is less
	readBackoff     = 100 * time.Millisecond // pause after an error, such as too many open files
	// streamLimit bounds the time for everything that is sent on one
	// connection. The receiver reads for at most tcpTimeout. memberlist itself
	// sets no time limit when it sends user messages.
	streamLimit = 2 * tcpTimeout
)

var errTooMany = errors.New("too many connections")

// network is memberlist's transport over one address. memberlist's own
// transport allocates a new buffer of 64 kB for each datagram. With it, even an
// idle host collects garbage all the time. This transport copies only the bytes
// that arrived. It also limits the connections from addresses outside the mesh
// (see admission).
type network struct {
	networkConfig
	udp       *net.UDPConn
	tcp       *net.TCPListener
	link      *net.UDPConn // receives the beacons sent to all hosts of the link; nil: multicast is not available
	group     netip.AddrPort
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	closed    chan struct{}
	readers   sync.WaitGroup
	strangers *admission
	known     *admission
}

// networkConfig configures a network. Several goroutines call the functions.
// The functions must not block.
type networkConfig struct {
	at      netip.AddrPort          // the address to bind, and the source address of every connection
	keyed   bool                    // gossip is encrypted
	isKnown func(netip.Addr) bool   // reports whether a member, a lease table's host or a seed has the address; nil: none has
	limited func(netip.Addr, error) // called when a limit has closed a connection from this address; may be nil
	// beacon is called with the datagram of a beacon, its source, and the socket
	// for an answer. Nil: beacons are dropped.
	beacon func([]byte, netip.AddrPort, *net.UDPConn)
}

var _ memberlist.NodeAwareTransport = (*network)(nil)

// listen opens the UDP and the TCP socket and starts the goroutines that read
// them. Shutdown closes the sockets and waits for the goroutines.
func listen(cfg networkConfig) (*network, error) {
	at := cfg.at
	if cfg.isKnown == nil {
		cfg.isKnown = func(netip.Addr) bool { return false }
	}
	if cfg.limited == nil {
		cfg.limited = func(netip.Addr, error) {}
	}
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
	n := &network{
		networkConfig: cfg, udp: udp, tcp: tcp,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), closed: make(chan struct{}),
		strangers: newAdmission(strangerStreams, strangerPerAddress, strangerMessage, strangerBudget),
		known:     newAdmission(knownStreams, knownPerAddress, cfg.largest(), knownBudget),
	}
	n.readers.Go(n.readPackets)
	n.readers.Go(n.acceptStreams)
	if n.beacon != nil {
		n.listenToLink()
	}
	return n, nil
}

// largest returns the maximum size of a message from a known host, in bytes.
func (c networkConfig) largest() int64 {
	if c.keyed {
		return knownMessage
	}
	return plainMessage
}

func (n *network) readPackets() {
	buf := make([]byte, largestDatagram)
	for {
		size, from, err := n.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if !n.canReadAgain(err) {
				return
			}
			continue
		}
		switch {
		case size == 0 || buf[0] == labelledMessage:
			continue
		case buf[0] == beaconMark:
			if n.beacon != nil {
				n.beacon(buf[:size], from, n.udp)
			}
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
			if !n.canReadAgain(err) {
				return
			}
			continue
		}
		admitted := n.admit(conn)
		if admitted == nil {
			continue
		}
		select {
		case n.streams <- admitted:
		case <-n.closed:
			_ = admitted.Close()
			return
		}
	}
}

// admit counts a connection and wraps it. If the address or its class has too
// many connections, admit closes the connection and returns nil. It then resets
// the connection, so that the kernel keeps no state for it.
func (n *network) admit(conn *net.TCPConn) net.Conn {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	class := n.strangers
	if n.isKnown(from) {
		class = n.known
	}
	if !class.enter(from) {
		_ = conn.SetLinger(0)
		_ = conn.Close()
		n.limited(from, errTooMany)
		return nil
	}
	s := n.stream(conn, from, class)
	s.entered = true
	return s
}

func (n *network) stream(conn net.Conn, from netip.Addr, class *admission) *stream {
	return &stream{Conn: conn, from: from, class: class, keyed: n.keyed, refused: func(err error) { n.limited(from, err) }}
}

// canReadAgain reports whether to read a socket again after an error. Unless the
// socket is closed, it first waits for listenAgain.
func (n *network) canReadAgain(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	select {
	case <-n.closed:
		return false
	case <-time.After(readBackoff):
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
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	// Without the local address, the kernel may choose another source address.
	// The other end knows this host only by its underlay address, and would
	// apply the limits for unknown addresses.
	dialer := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: n.at.Addr().AsSlice(), Zone: n.at.Addr().Zone()}}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := n.stream(conn, to.Addr().Unmap(), n.known)
	return s, s.SetDeadline(time.Now().Add(streamLimit))
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
	if n.link != nil {
		err = errors.Join(err, n.link.Close())
	}
	n.readers.Wait()
	return err
}
