package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// sockets sends probes on docker0 and receives the answers on br0 and docker0.
// Only one goroutine may use it. The sockets do not block. The prober reads them
// when it wakes up, and takes the arrival times from the kernel's time stamps.
type sockets struct {
	self   netip.Addr // this host's bip
	send   int        // file descriptor
	bridge receiver   // docker0
	port   receiver   // br0
	mtu    int        // bytes, of docker0
}

// receiver is a socket that receives answers on one device.
type receiver struct {
	fd    int      // -1: not open
	name  string   // of the device
	index int      // of the device
	where sighting // where an answer on this socket was seen
}

// answer is one sighting of an answer on one device.
type answer struct {
	peer  netip.Addr
	where sighting
	at    time.Time // wall clock time from the kernel; zero: none
}

// open returns sockets that are bound to docker0 and br0. self is this host's bip,
// bridge and port are the names of the devices. The error wraps unix.ENODEV if one
// of them does not exist.
func open(self netip.Addr, bridge, port string) (opened *sockets, err error) {
	s := &sockets{self: self, send: -1, bridge: receiver{-1, bridge, 0, onBridge}, port: receiver{-1, port, 0, onPort}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// With protocol 0 this socket receives nothing.
	if s.send, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if s.bridge.index, err = s.index(bridge); err != nil {
		return nil, err
	}
	if s.port.index, err = s.index(port); err != nil {
		return nil, err
	}
	if err := s.refresh(); err != nil {
		return nil, err
	}
	// The socket on br0 is for all protocols. A bridge takes the frames of its
	// ports (rx_handler) before a socket for a single protocol sees them.
	if err := s.port.open(self, unix.ETH_P_ALL); err != nil {
		return nil, err
	}
	if err := s.bridge.open(self, unix.ETH_P_ARP); err != nil {
		return nil, err
	}
	return s, nil
}

// open binds the socket to its device. It receives only answers to self.
func (r *receiver) open(self netip.Addr, protocol uint16) (err error) {
	if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	program, err := filter(self)
	if err != nil {
		return fmt.Errorf("make the filter for %s: %w", r.name, err)
	}
	code := make([]unix.SockFilter, len(program))
	for i, in := range program {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
		return fmt.Errorf("filter what arrives on %s: %w", r.name, err)
	}
	// Avoids a copy of every frame that leaves by the device. Kernels before
	// 4.20 do not support it; there the filter drops the copy.
	_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for time stamps on %s: %w", r.name, err)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: network(protocol), Ifindex: r.index}); err != nil {
		return fmt.Errorf("listen on %s: %w", r.name, err)
	}
	return nil
}

// network converts a protocol number to network byte order.
func network(v uint16) uint16 { return binary.NativeEndian.Uint16([]byte{byte(v >> 8), byte(v)}) }

func (s *sockets) close() {
	for _, fd := range []int{s.send, s.bridge.fd, s.port.fd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (s *sockets) index(name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(s.send, unix.SIOCGIFINDEX, request)
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// refresh reads docker0's MTU. The error wraps unix.ENODEV if docker0 or br0 does
// not exist or was created again, because the sockets are bound to the old device.
func (s *sockets) refresh() error {
	for _, r := range []receiver{s.bridge, s.port} {
		now, err := s.index(r.name)
		if err != nil {
			return err
		}
		if now != r.index {
			return fmt.Errorf("%s was created again: %w", r.name, unix.ENODEV)
		}
	}
	request, err := unix.NewIfreq(s.bridge.name)
	if err == nil {
		err = unix.IoctlIfreq(s.send, unix.SIOCGIFMTU, request)
	}
	if err != nil {
		return fmt.Errorf("read the MTU of %s: %w", s.bridge.name, err)
	}
	s.mtu = int(request.Uint32())
	return nil
}

// ask sends one probe. If full is true, the probe is padded to docker0's MTU.
func (s *sockets) ask(peer netip.Addr, full bool) error {
	size := 0
	if full {
		size = s.mtu
	}
	err := s.write(request(s.self, peer, size))
	if full && errors.Is(err, unix.EMSGSIZE) { // docker0's MTU was reduced meanwhile
		if err = s.refresh(); err == nil {
			err = s.write(request(s.self, peer, s.mtu))
		}
	}
	return err
}

func (s *sockets) write(frame []byte) error {
	err := unix.Sendto(s.send, frame, 0, &unix.SockaddrLinklayer{Protocol: network(typeARP), Ifindex: s.bridge.index})
	if err != nil {
		return fmt.Errorf("send %d bytes by %s: %w", len(frame), s.bridge.name, err)
	}
	return nil
}

// hear calls take for each answer that has arrived since the last call.
func (s *sockets) hear(take func(answer)) error {
	for _, r := range []receiver{s.port, s.bridge} {
		if err := r.read(s.self, take); err != nil {
			return err
		}
	}
	return nil
}

func (r receiver) read(self netip.Addr, take func(answer)) error {
	var frame [64]byte
	var control [64]byte
	for {
		n, c, _, _, err := unix.Recvmsg(r.fd, frame[:], control[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read answers on %s: %w", r.name, err)
		}
		if peer, ok := parse(frame[:n], self); ok {
			take(answer{peer, r.where, stamp(control[:c])})
		}
	}
}

// stamp returns the kernel's time stamp of a frame, or zero if there is none.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		switch d := m.Data; len(d) { // the size of struct timespec depends on the platform
		case 16:
			return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
		case 8:
			return time.Unix(int64(int32(binary.NativeEndian.Uint32(d))), int64(binary.NativeEndian.Uint32(d[4:])))
		}
	}
	return time.Time{}
}
