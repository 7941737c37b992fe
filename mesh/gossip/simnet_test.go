package gossip

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// simNet is a network in memory, for hosts in one synctest bubble: datagrams
// are delayed and lost, streams are pipes, and groups of hosts can be cut off
// from each other.
type simNet struct {
	loss float64

	mu    sync.Mutex
	hosts map[string]*simWire
	group map[string]int
}

func newSimNet(loss float64) *simNet {
	return &simNet{loss: loss, hosts: make(map[string]*simWire), group: make(map[string]int)}
}

// simWire is one host's end: a memberlist.NodeAwareTransport.
type simWire struct {
	net     *simNet
	at      netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *simNet) plug(at netip.AddrPort) *simWire {
	w := &simWire{net: n, at: at, packets: make(chan *memberlist.Packet, 4096), streams: make(chan net.Conn, 256)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[at.String()] = w
	return w
}

// partition puts hosts into groups that can't reach each other.
func (n *simNet) partition(group func(netip.AddrPort) int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.hosts {
		n.group[w.at.String()] = group(w.at)
	}
}

func (n *simNet) reach(from netip.AddrPort, to string) *simWire {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.group[from.String()] != n.group[to] {
		return nil
	}
	return n.hosts[to]
}

func (w *simWire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return w.at.Addr().AsSlice(), int(w.at.Port()), nil
}

func (w *simWire) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	buf := append([]byte(nil), b...)
	if rand.Float64() < w.net.loss {
		return now, nil
	}
	delay := 200*time.Microsecond + time.Duration(rand.ExpFloat64()*float64(time.Millisecond))
	time.AfterFunc(delay, func() {
		if to := w.net.reach(w.at, addr); to != nil {
			select {
			case to.packets <- &memberlist.Packet{Buf: buf, From: net.UDPAddrFromAddrPort(w.at), Timestamp: time.Now()}:
			default: // its queue is full
			}
		}
	})
	return now, nil
}

func (w *simWire) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return w.WriteTo(b, addr.Addr)
}

func (w *simWire) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	to := w.net.reach(w.at, addr)
	if to == nil {
		return nil, errors.New("no route to host")
	}
	mine, theirs := net.Pipe()
	select {
	case to.streams <- theirs:
		return mine, nil
	default:
		return nil, errors.New("connection refused")
	}
}

func (w *simWire) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return w.DialTimeout(addr.Addr, timeout)
}

func (w *simWire) PacketCh() <-chan *memberlist.Packet { return w.packets }
func (w *simWire) StreamCh() <-chan net.Conn           { return w.streams }

// Shutdown unplugs the host.
func (w *simWire) Shutdown() error {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	if w.net.hosts[w.at.String()] == w {
		delete(w.net.hosts, w.at.String())
	}
	return nil
}
