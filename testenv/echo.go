package testenv

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

// echoEnv is set in the process of a Pinger.
const echoEnv = "TESTENV_ECHO"

// A program that uses Pingers starts itself again as their processes. See the
// watchdog.
func init() {
	if os.Getenv(echoEnv) == "" {
		return
	}
	if err := echo(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Pinger is a process on a host that waits to ping many addresses at once. It
// starts before a measurement, so that its start is not measured. A host needs
// only one Pinger, but one ping(8) for each address.
type Pinger struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Pinger starts a Pinger. It lives until ctx ends or until it has done its
// work.
func (h *Host) Pinger(ctx context.Context) (*Pinger, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Pinger{cmd: h.Command(ctx, self)}
	p.cmd.Env = append(p.cmd.Env, echoEnv+"=1", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: start to ping: %w", h.Name, err)
	}
	if _, err := p.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("%s: start to ping: %w", h.Name, errors.Join(err, p.cmd.Wait()))
	}
	return p, nil
}

// All pings all addresses. It repeats each ping every 20 ms until the address
// has answered, and returns when all have answered. It can be called only once.
func (p *Pinger) All(to []netip.Addr) error {
	words := make([]string, len(to))
	for i, addr := range to {
		words[i] = addr.String()
	}
	_, err := fmt.Fprintln(p.in, strings.Join(words, " "))
	if err == nil {
		_, err = p.out.ReadString('\n')
	}
	return errors.Join(err, p.Close())
}

// Close ends the process, unless it has ended already.
func (p *Pinger) Close() error {
	_ = p.in.Close() // if the process still waits, this ends it
	return p.cmd.Wait()
}

// echo reports that it is ready and reads a line of addresses. When all
// addresses have answered, it reports that.
func echo(in io.Reader, out io.Writer) error {
	conn, err := net.ListenPacket("ip4:icmp", "0.0.0.0") //nolint:noctx // a process of its own
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	line, err := bufio.NewReader(in).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil // nobody needs the pings
	}
	if err != nil {
		return err
	}
	missing := map[string]net.Addr{}
	for _, word := range strings.Fields(line) {
		missing[word] = &net.IPAddr{IP: net.ParseIP(word)}
	}
	id := uint16(os.Getpid())
	buffer := make([]byte, 1500)
	for len(missing) > 0 {
		for _, to := range missing {
			_, _ = conn.WriteTo(echoRequest(id), to) // if there is no route yet, the loop sends again
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return err
		}
		for len(missing) > 0 {
			n, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			if n >= 8 && buffer[0] == 0 && binary.BigEndian.Uint16(buffer[4:]) == id {
				delete(missing, from.String())
			}
		}
	}
	_, err = fmt.Fprintln(out, "done")
	return err
}

// echoRequest returns an ICMP echo request (RFC 792) without data. Its type is
// 8. The checksum is the complement of the sum of the other words.
func echoRequest(id uint16) []byte {
	message := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(message[4:], id)
	sum := uint32(8<<8) + uint32(id)
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum+sum>>16))
	return message
}
