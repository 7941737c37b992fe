package bridge

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// ICMP types (RFC 792).
const (
	echoReply   = 0
	echoRequest = 8
)

// Echo sends one ICMP echo request from an IPv4 address of this host, and waits for
// the reply. It returns an error if no reply arrives before ctx ends.
func (k *Kernel) Echo(ctx context.Context, from, to netip.Addr) error {
	var listen net.ListenConfig
	conn, err := listen.ListenPacket(ctx, "ip4:icmp", from.String())
	if err != nil {
		return fmt.Errorf("echo from %s: %w", from, err)
	}
	defer conn.Close() //nolint:errcheck // nothing is left to be sent
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request := make([]byte, 8)
	request[0] = echoRequest
	binary.BigEndian.PutUint32(request[4:], rand.Uint32()) // identifier and sequence number
	binary.BigEndian.PutUint16(request[2:], checksum(request))
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("echo to %s: %w", to, err)
	}
	b := make([]byte, 1500)
	for { // the socket receives all ICMP messages for from
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return fmt.Errorf("echo to %s: %w", to, err)
		}
		if n >= 8 && b[0] == echoReply && string(b[4:8]) == string(request[4:8]) {
			return nil
		}
	}
}

// checksum returns the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
