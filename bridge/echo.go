package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge/icmp"
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
	request := icmp.Request(icmp.EchoRequest, uint16(rand.Uint32()), uint16(rand.Uint32()), icmp.Header)
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("echo to %s: %w", to, err)
	}
	b := make([]byte, 1500)
	for { // the socket receives all ICMP messages for from
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return fmt.Errorf("echo to %s: %w", to, err)
		}
		if n >= icmp.Header && b[0] == icmp.EchoReply && string(b[4:8]) == string(request[4:8]) {
			return nil
		}
	}
}
