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

// udpEnv has the words of a process that is one end of UDP traffic.
const udpEnv = "TESTENV_UDP"

// A program that has listeners and senders is these itself, started again in
// another network namespace; see the watchdog.
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

// udpListen prints the address and port that it listens at, and then each
// datagram's source address, which is also its answer. It ends when no one
// reads what it prints.
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
		// The datagram's number, and where it came from. The way back may be
		// closed, or refuse what is sent on it; that is for the sender to say.
		_, _ = conn.WriteToUDPAddrPort([]byte(string(buffer[:n])+" "+source.String()), from)
	}
}

// udpSend numbers its datagrams, counts each one's first answer and prints
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
	// Not connected: who answers for a multicast group has another address.
	conn, err := net.ListenUDP("udp4", nil) //nolint:noctx // a process of its own
	if err != nil {
		return err
	}
	go func() {
		for i := range times {
			_, _ = conn.WriteToUDPAddrPort([]byte(strconv.Itoa(i)), to) // refused or unreachable: lost
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
			continue // not an answer that a client would take
		}
		answered[number] = true
		echoes.Sources[source]++
	}
	return json.NewEncoder(out).Encode(echoes)
}
