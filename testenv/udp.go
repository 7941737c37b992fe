package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// udpEnv holds the arguments of a process that is one end of UDP traffic.
const udpEnv = "TESTENV_UDP"

// A program that uses listeners and senders starts itself again as these
// processes, in another network namespace. See the watchdog.
func init() {
	words := strings.Fields(os.Getenv(udpEnv))
	if len(words) == 0 {
		return
	}
	var err error
	switch words[0] {
	case "listen":
		err = udpListen(words[1], os.Stdout)
	case "send":
		err = udpSend(words[1], words[2], words[3], os.Stdout)
	default:
		err = fmt.Errorf("%s=%q", udpEnv, words)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// udpListen prints the address and port at which it listens. It then prints the
// source address of each datagram, and sends it back as the answer. It ends
// when nobody reads its output.
func udpListen(address string, out io.Writer) error {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
	var conn *net.UDPConn
	if addr.IsMulticast() {
		var eth0 *net.Interface
		if eth0, err = net.InterfaceByName("eth0"); err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp", eth0, at)
	} else {
		conn, err = net.ListenUDP("udp", at) //nolint:noctx // a process of its own
	}
	if err != nil {
		return err
	}
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if _, err := fmt.Fprintln(out, netip.AddrPortFrom(addr, port)); err != nil {
		return err
	}
	buffer := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		source := from.Addr().Unmap()
		if _, err := fmt.Fprintln(out, source); err != nil {
			return err
		}
		// The answer is the datagram's number and its source address. The way
		// back may be closed, or may refuse the answer; the sender reports
		// that.
		_, _ = conn.WriteToUDPAddrPort([]byte(string(buffer[:n])+" "+source.String()), from)
	}
}

// udpSend sends numbered datagrams, counts the first answer to each, and prints
// the Echoes.
func udpSend(address, count, interval string, out io.Writer) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(interval)
	if err != nil {
		return err
	}
	// The socket is not connected, because answers for a multicast group come
	// from another address.
	conn, err := net.ListenUDP("udp4", nil) //nolint:noctx // a process of its own
	if err != nil {
		return err
	}
	go func() {
		for i := range times {
			_, _ = conn.WriteToUDPAddrPort([]byte(strconv.Itoa(i)), to) // if it is refused or unreachable, it counts as lost
			time.Sleep(every)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	}()
	echoes := Echoes{Sent: times, Sources: map[netip.Addr]int{}}
	answered := map[string]bool{}
	buffer := make([]byte, 2048)
	for len(answered) < times {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		number, seen, _ := strings.Cut(string(buffer[:n]), " ")
		source, err := netip.ParseAddr(seen)
		if err != nil || answered[number] || !to.Addr().IsMulticast() && from.Addr().Unmap() != to.Addr() {
			continue // a client would not accept this answer
		}
		answered[number] = true
		echoes.Sources[source]++
	}
	return json.NewEncoder(out).Encode(echoes)
}
