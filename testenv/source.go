package testenv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// End is a place where packets start and end: a host, a container or the
// outside host.
type End struct {
	Name string
	Addr netip.Addr

	netns string // path
}

// End returns the host itself, at its underlay address.
func (h *Host) End() End { return End{h.Name, h.Addr, h.Netns()} }

// Container returns a running container. The End is valid until the container
// starts again.
func (h *Host) Container(ctx context.Context, name string) (End, error) {
	c, err := h.inspect(ctx, name)
	return End{name + " of " + h.Name, c.addr, c.netns()}, err
}

// Outside returns the host beyond the router, in a lab that has one.
func (l *Lab) Outside() End {
	return End{outsideName, addrAt(outsideNet, 1), netnsPath(l.Name, outsideName)}
}

// At returns the same end with another of its addresses.
func (e End) At(addr netip.Addr) End {
	e.Addr = addr
	return e
}

// Command returns a command that sees the end's network and the machine's
// files.
func (e End) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + e.netns}, argv...)...)
}

// udp returns a command that starts this program again at the end, with a role
// that udp.go describes.
func (e End) udp(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := e.Command(ctx, self)
	// With the race detector, the process would otherwise sleep for one second
	// before it exits.
	cmd.Env = append(os.Environ(), udpEnv+"="+strings.Join(argv, " "), "GORACE=atexit_sleep_ms=0")
	return cmd, nil
}

// Listener receives UDP at an end. It answers each datagram with the source
// address of the datagram.
type Listener struct {
	Addr netip.AddrPort

	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{} // closed when its output has ended
	mu     sync.Mutex
	seen   map[netip.Addr]int
}

// Listen starts a listener at the end's address. If the address is a multicast
// group, the listener joins it on eth0.
func (e End) Listen(ctx context.Context) (*Listener, error) {
	l := &Listener{ended: make(chan struct{}), seen: map[netip.Addr]int{}}
	// Close ends the process. The context must not, because a test's context
	// ends before the clean-up.
	cmd, err := e.udp(context.WithoutCancel(ctx), "listen", e.Addr.String())
	if err != nil {
		return nil, err
	}
	l.cmd, cmd.Stderr = cmd, &l.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", e.Name, err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		err := errors.Join(lines.Err(), cmd.Wait())
		return nil, fmt.Errorf("listen at %s: %w: %s", e.Name, err, strings.TrimSpace(l.stderr.String()))
	}
	if l.Addr, err = netip.ParseAddrPort(lines.Text()); err != nil {
		return nil, errors.Join(fmt.Errorf("listen at %s: %w", e.Name, err), cmd.Process.Kill(), cmd.Wait())
	}
	go func() {
		defer close(l.ended)
		for lines.Scan() {
			if from, err := netip.ParseAddr(lines.Text()); err == nil { // otherwise it was killed in the middle of a line
				l.mu.Lock()
				l.seen[from]++
				l.mu.Unlock()
			}
		}
	}()
	return l, nil
}

// Seen counts the received datagrams by source address. After Close it counts
// all answered datagrams; before Close it may lag behind the answers.
func (l *Listener) Seen() map[netip.Addr]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.seen)
}

// Close ends the listener.
func (l *Listener) Close() error {
	if err := l.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-l.ended
	_ = l.cmd.Wait() // the signal ends it
	return nil
}

// Echoes holds the answers of a Listener to one sender.
type Echoes struct {
	Sent    int                `json:"sent"`
	Sources map[netip.Addr]int `json:"sources"` // answers, by the source address that the listener saw
}

// Lost returns the number of datagrams without an answer.
func (e Echoes) Lost() int {
	lost := e.Sent
	for _, n := range e.Sources {
		lost -= n
	}
	return lost
}

// Send sends datagrams from one port at intervals, and waits for the answers.
// It returns when all have arrived, or one second after the last datagram.
func (e End) Send(ctx context.Context, to netip.AddrPort, times int, every time.Duration) (Echoes, error) {
	cmd, err := e.udp(ctx, "send", to.String(), fmt.Sprint(times), every.String())
	if err != nil {
		return Echoes{}, err
	}
	out, err := output(cmd)
	if err != nil {
		return Echoes{}, fmt.Errorf("send from %s to %s: %w", e.Name, to, err)
	}
	var echoes Echoes
	if err := json.Unmarshal([]byte(out), &echoes); err != nil {
		return Echoes{}, fmt.Errorf("send from %s to %s: %w", e.Name, to, err)
	}
	return echoes, nil
}

// Source returns the source address that packets of one end have when they
// reach another end. The answers need not find their way back. It returns an
// error if no packet arrives before ctx ends.
func Source(ctx context.Context, from, to End) (source netip.Addr, err error) {
	l, err := to.Listen(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	err = Until(ctx, func() error {
		if _, err := from.Send(ctx, l.Addr, 1, 0); err != nil {
			return err
		}
		for source = range l.Seen() {
			return nil
		}
		return fmt.Errorf("nothing from %s (%s) arrives at %s (%s)", from.Name, from.Addr, to.Name, to.Addr)
	})
	return source, err
}
