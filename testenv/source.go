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

// End is where packets begin and end: a host, a container or the outside host.
type End struct {
	Name string
	Addr netip.Addr

	netns string // path
}

// End is the host itself, at its underlay address.
func (h *Host) End() End { return End{h.Name, h.Addr, h.Netns()} }

// Container is a running container, until it is started again.
func (h *Host) Container(ctx context.Context, name string) (End, error) {
	c, err := h.inspect(ctx, name)
	return End{name + " of " + h.Name, c.addr, c.netns()}, err
}

// Outside is the host beyond the router, of a lab that has one.
func (l *Lab) Outside() End {
	return End{outsideName, addrAt(outsideNet, 1), netnsPath(l.Name, outsideName)}
}

// At is the same end by another of its addresses.
func (e End) At(addr netip.Addr) End {
	e.Addr = addr
	return e
}

// Command is a command that sees the end's network and the machine's files.
func (e End) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + e.netns}, argv...)...)
}

// udp is this program started again, at the end, as what udp.go describes.
func (e End) udp(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := e.Command(ctx, self)
	// The race detector would have it sleep a second at its end.
	cmd.Env = append(os.Environ(), udpEnv+"="+strings.Join(argv, " "), "GORACE=atexit_sleep_ms=0")
	return cmd, nil
}

// Listener receives UDP at an end, and answers each datagram with the address
// that it came from.
type Listener struct {
	Addr netip.AddrPort

	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{} // closed when its output has ended
	mu     sync.Mutex
	seen   map[netip.Addr]int
}

// Listen starts a listener at the end's address. Where that is a multicast
// group, it joins it on eth0.
func (e End) Listen(ctx context.Context) (*Listener, error) {
	l := &Listener{ended: make(chan struct{}), seen: map[netip.Addr]int{}}
	// It is ended by Close, as a test's context is over before the clean-up.
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
			if from, err := netip.ParseAddr(lines.Text()); err == nil { // else it was killed amid a line
				l.mu.Lock()
				l.seen[from]++
				l.mu.Unlock()
			}
		}
	}()
	return l, nil
}

// Seen counts what has been received, by source address. After Close it counts
// all that was answered; before, it may lag behind the answers.
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
	_ = l.cmd.Wait() // it is ended by the signal
	return nil
}

// Echoes are the answers of a Listener to who sent to it.
type Echoes struct {
	Sent    int                `json:"sent"`
	Sources map[netip.Addr]int `json:"sources"` // answers, by the source address that the listener saw
}

// Lost is the number of datagrams without an answer.
func (e Echoes) Lost() int {
	lost := e.Sent
	for _, n := range e.Sources {
		lost -= n
	}
	return lost
}

// Send sends datagrams from one port, at intervals, and waits for the answers
// until all are there or, after the last was sent, a second has passed.
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

// Source is the address that packets of one end have when they reach another.
// That answers find back is not asked for. It is an error if none arrives
// before ctx ends.
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
