package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// sockets sends probes by docker0 and hears the answers on br0 and docker0. It
// is for one goroutine. The files do not block: the prober reads them when it
// wakes, and the kernel's time stamps say when an answer came.
type sockets struct {
	self   netip.Addr
	send   int
	bridge receiver // docker0
	port   receiver // br0
	mtu    int      // bytes, of docker0
}

// receiver is a socket that hears answers on one device.
type receiver struct {
	fd    int
	name  string
	index int
	where sighting
}

// answer is what was heard of one.
type answer struct {
	peer  netip.Addr
	where sighting
	at    time.Time // by the kernel's wall clock
}

// open binds to docker0 and br0 by their names. The error is unix.ENODEV if one
// of them does not exist.
func open(self netip.Addr, bridge, port string) (opened *sockets, err error) {
	s := &sockets{self: self, send: -1, bridge: receiver{-1, bridge, 0, onBridge}, port: receiver{-1, port, 0, onPort}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// Protocol 0: this one receives nothing.
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
	// A bridge takes the frames of its ports before sockets for one protocol see
	// them (rx_handler), so on br0 the socket is for all protocols.
	if err := s.port.open(self, unix.ETH_P_ALL); err != nil {
		return nil, err
	}
	if err := s.bridge.open(self, unix.ETH_P_ARP); err != nil {
		return nil, err
	}
	return s, nil
}

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
	// Spares every frame that leaves by the device a copy. Kernels before 4.20
	// do not know it; there the filter drops the copy.
	_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for time stamps on %s: %w", r.name, err)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: network(protocol), Ifindex: r.index}); err != nil {
		return fmt.Errorf("listen on %s: %w", r.name, err)
	}
	return nil
}

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

// refresh reads docker0's MTU. The error is unix.ENODEV if docker0 or br0 is no
// longer the device that the sockets are bound to.
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

// ask sends one probe.
func (s *sockets) ask(peer netip.Addr, full bool) error {
	size := 0
	if full {
		size = s.mtu
	}
	err := s.write(request(s.self, peer, size))
	if full && errors.Is(err, unix.EMSGSIZE) { // docker0 has been given a smaller MTU
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

// hear calls take for each answer that has come since the last call.
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

// stamp returns the kernel's time stamp; zero if there is none.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		switch d := m.Data; len(d) { // struct timespec
		case 16:
			return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
		case 8:
			return time.Unix(int64(int32(binary.NativeEndian.Uint32(d))), int64(binary.NativeEndian.Uint32(d[4:])))
		}
	}
	return time.Time{}
}
