package testenv

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// injectEnv holds the arguments of a process that sends forged packets.
const injectEnv = "TESTENV_INJECT"

// A program that injects packets starts itself again as that process, in
// another network namespace. See the watchdog.
func init() {
	words := strings.Fields(os.Getenv(injectEnv))
	if len(words) == 0 {
		return
	}
	if err := inject(words); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Inject sends an IPv4 packet with its header from the end, the given number of
// times with the given interval. Any process with CAP_NET_RAW can do the same,
// and Docker's containers have it by default.
func (e End) Inject(ctx context.Context, packet []byte, times int, every time.Duration) error {
	return e.inject(ctx, "ip", hex.EncodeToString(packet), strconv.Itoa(times), every.String())
}

// InjectFrame sends an Ethernet frame from a device of the end.
func (e End) InjectFrame(ctx context.Context, dev string, frame []byte, times int, every time.Duration) error {
	return e.inject(ctx, dev, hex.EncodeToString(frame), strconv.Itoa(times), every.String())
}

func (e End) inject(ctx context.Context, words ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := e.Command(ctx, self)
	cmd.Env = append(os.Environ(), injectEnv+"="+strings.Join(words, " "), "GORACE=atexit_sleep_ms=0")
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("inject packets at %s: %w", e.Name, err)
	}
	return nil
}

func inject(words []string) error {
	if len(words) != 4 {
		return fmt.Errorf("%s=%q", injectEnv, words)
	}
	packet, err := hex.DecodeString(words[1])
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(words[3])
	if err != nil {
		return err
	}
	send, err := sender(words[0], packet)
	if err != nil {
		return err
	}
	for i := range times {
		if i > 0 {
			time.Sleep(every)
		}
		if err := send(); err != nil {
			return err
		}
	}
	return nil
}

// sender returns a function that sends the packet by IP or from a device. The
// descriptor stays open until the process ends.
func sender(by string, packet []byte) (send func() error, err error) {
	if by == "ip" {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) // the packet includes its header, raw(7)
		if err != nil {
			return nil, fmt.Errorf("open a raw socket: %w", err)
		}
		to := &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])}
		// If a local firewall drops the packet, the error is EPERM.
		return func() error { return ignore(unix.Sendto(fd, packet, 0, to), unix.EPERM) }, nil
	}
	dev, err := net.InterfaceByName(by)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: uint16(packet[12])<<8 | uint16(packet[13])}
	return func() error { return unix.Sendto(fd, packet, 0, to) }, nil
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// UDPPacket returns an IPv4 packet (RFC 791) with a UDP datagram (RFC 768) that
// has no checksum.
func UDPPacket(from, to netip.AddrPort, ttl byte, payload []byte) []byte {
	udp := []byte{
		byte(from.Port() >> 8), byte(from.Port()), byte(to.Port() >> 8), byte(to.Port()),
		byte((8 + len(payload)) >> 8), byte(8 + len(payload)), 0, 0,
	}
	return IPv4Packet(from.Addr(), to.Addr(), unix.IPPROTO_UDP, ttl, append(udp, payload...))
}

// IPv4Packet returns an IPv4 packet (RFC 791).
func IPv4Packet(from, to netip.Addr, protocol, ttl byte, payload []byte) []byte {
	length := 20 + len(payload)
	h := []byte{0x45, 0, byte(length >> 8), byte(length), 0, 1, 0, 0, ttl, protocol, 0, 0}
	h = append(append(h, from.AsSlice()...), to.AsSlice()...)
	sum := 0
	for i := 0; i < 20; i += 2 {
		sum += int(h[i])<<8 | int(h[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	h[10], h[11] = ^byte(sum>>8), ^byte(sum)
	return append(h, payload...)
}

// Frame returns an Ethernet frame with an IPv4 packet.
func Frame(from, to net.HardwareAddr, packet []byte) []byte {
	frame := append(append([]byte{}, to...), from...)
	return append(append(frame, 0x08, 0x00), packet...)
}

// GREPacket returns a frame in GRE (RFC 2784) with a key (RFC 2890). Key 0
// means no key.
func GREPacket(from, to netip.Addr, key uint32, frame []byte) []byte {
	h := []byte{0, 0, 0x65, 0x58}
	if key != 0 {
		h = []byte{0x20, 0, 0x65, 0x58, byte(key >> 24), byte(key >> 16), byte(key >> 8), byte(key)}
	}
	return IPv4Packet(from, to, unix.IPPROTO_GRE, 64, append(h, frame...))
}

// VXLANPacket returns a frame in VXLAN (RFC 7348), sent to the VXLAN port
// without a UDP checksum.
func VXLANPacket(from, to netip.Addr, vni uint32, frame []byte) []byte {
	const port = 4789
	h := []byte{0x08, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
	return UDPPacket(netip.AddrPortFrom(from, tunnelSource), netip.AddrPortFrom(to, port), 64, append(h, frame...))
}

// GenevePacket returns a frame in Geneve (RFC 8926), sent to the Geneve port
// without options and without a UDP checksum.
func GenevePacket(from, to netip.Addr, vni uint32, frame []byte) []byte {
	const port = 6081
	h := []byte{0, 0, 0x65, 0x58, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
	return UDPPacket(netip.AddrPortFrom(from, tunnelSource), netip.AddrPortFrom(to, port), 64, append(h, frame...))
}

// tunnelSource is the UDP source port of forged tunnel packets. Any port works.
const tunnelSource = 49152
