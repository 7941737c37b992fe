package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// pulseEvery is how often ovs-vswitchd is asked whether it answers. The end
	// of its process is noticed at once, by the end of a connection.
	pulseEvery = 2 * time.Second
	// returnEvery is how often an ovs-vswitchd that has ended is looked for.
	returnEvery = 200 * time.Millisecond
	// hungAfter is how long an ovs-vswitchd that runs may stay silent. With
	// 5,000 new tunnels it answers nothing for 2.2 s.
	hungAfter = 7 * time.Second
)

// StateUnknown is the BFDStatus.State of every port while ovs-vswitchd is down:
// the database still holds the state that it wrote earlier.
const StateUnknown = "unknown"

// pulse reports whether ovs-vswitchd runs and answers. The database does not
// say so: it keeps the last state of every port when ovs-vswitchd has died.
// A pulse may be used from any goroutine.
type pulse struct {
	db   string
	wake func() // called when the answer has changed
	now  func() time.Time
	beat func(context.Context) // called after every answer

	mu       sync.Mutex // held while ovs-vswitchd is asked
	looked   bool
	down     string    // why it is down; empty: it is not
	answered time.Time // last; before the first answer: the first question
	ended    bool      // no process runs
	found    bool      // a pid file was there once
	due      bool      // the next state asks
}

// look asks ovs-vswitchd and returns why it is down; empty means that it
// answers, or that it cannot be asked because its files are not beside ovs.db.
func (p *pulse) look(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ask(ctx)
}

// state returns the last answer. It asks only if nothing has been asked yet,
// after renew, and while ovs-vswitchd does not run, which costs little.
func (p *pulse) state(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looked && !p.due && !p.ended {
		return p.down
	}
	return p.ask(ctx)
}

// renew makes the next state ask.
func (p *pulse) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = true
}

func (p *pulse) ask(ctx context.Context) string {
	now := p.now()
	if !p.looked {
		p.answered = now
	}
	p.looked, p.due = true, false
	err := alive(ctx, p.db)
	down := ""
	p.found = p.found || err == nil
	p.ended = errors.Is(err, errEnded) && (p.found || serverBeside(p.db))
	switch {
	case err == nil, errors.Is(err, errNotLocal), errors.Is(err, errEnded) && !p.ended:
		p.answered = now
	case p.ended:
		down = err.Error()
	case ctx.Err() != nil: // nothing is known
		down = p.down
	case now.Sub(p.answered) >= hungAfter:
		down = "ovs-vswitchd runs, but does not answer"
	}
	if down != p.down {
		p.down = down
		p.wake()
	}
	return down
}

// errEnded is in the error of an ovs-vswitchd that does not run.
var errEnded = errors.New("ovs-vswitchd is not running")

// alive asks ovs-vswitchd for its version.
func alive(ctx context.Context, db string) error {
	ctl, err := reach(ctx, db)
	if err != nil {
		return err
	}
	defer ctl.close()
	_, err = ctl.call(ctx, "version")
	if _, refused := errors.AsType[refusedError](err); refused {
		return nil
	}
	return err
}

// reach connects to ovs-vswitchd. errEnded is in the error if it does not run.
func reach(ctx context.Context, db string) (*control, error) {
	runs, err := vswitchd(db)
	if errors.Is(err, fs.ErrNotExist) {
		path, _ := pidfile(db)
		return nil, fmt.Errorf("%w (no pid file %s)", errEnded, path)
	}
	if err != nil {
		return nil, err
	}
	ctl, err := dialControl(ctx, db, runs)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		path, _ := pidfile(db)
		return nil, fmt.Errorf("%w (no process listens at %s.%s.ctl)", errEnded, strings.TrimSuffix(path, ".pid"), runs.pid)
	}
	return ctl, err
}

// serverBeside reports whether the directory of ovsdb-server's socket is the one
// where Open vSwitch's daemons keep their own files. In another directory, such
// as one that a container shares, a missing pid file says nothing.
func serverBeside(db string) bool {
	path, err := pidfile(db)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(path), "ovsdb-server.pid"))
	return err == nil
}

// run asks every pulseEvery, and at once when ovs-vswitchd ends, until ctx is
// done.
func (p *pulse) run(ctx context.Context) {
	for ctx.Err() == nil {
		conn, ended := p.listen(ctx)
		p.look(ctx)
		if conn == nil {
			_ = rest(ctx, nil, returnEvery)
			continue
		}
		for rest(ctx, ended, pulseEvery) {
			if p.look(ctx) == "" {
				p.beat(ctx)
			}
		}
		_ = conn.Close()
		<-ended
	}
}

// rest waits, and reports whether neither ctx nor the other end came first.
func rest(ctx context.Context, ended <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-ended:
		return false
	case <-timer.C:
		return true
	}
}

// listen opens a connection to ovs-vswitchd on which nothing is said; ended is
// closed when either side closes it. conn is nil if ovs-vswitchd cannot be
// reached.
func (p *pulse) listen(ctx context.Context) (conn net.Conn, ended <-chan struct{}) {
	ctl, err := reach(ctx, p.db)
	if err != nil {
		return nil, nil
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = ctl.conn.Read(make([]byte, 1))
	}()
	return ctl.conn, closed
}

// blurred keeps the ports of one revision without the state that a dead
// ovs-vswitchd wrote earlier. The zero value is empty.
type blurred struct {
	revision uint64
	ports    []Port
}

func (b *blurred) of(have *Actual) []Port {
	if b.ports == nil || b.revision != have.revision {
		b.revision, b.ports = have.revision, slices.Clone(have.Ports)
		for i := range b.ports {
			if p := &b.ports[i]; p.BFD != (BFDStatus{}) || p.Tunnel.BFD {
				p.BFD = BFDStatus{State: StateUnknown}
			}
		}
	}
	return b.ports
}
