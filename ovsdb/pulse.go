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
	// pulseEvery is the interval of the checks that ovs-vswitchd answers. The
	// end of the process is noticed at once, because a connection to it ends.
	pulseEvery = 2 * time.Second
	// returnEvery is the interval of the checks for a new ovs-vswitchd after
	// one has ended.
	returnEvery = 200 * time.Millisecond
	// hungAfter is the time without an answer after which a running
	// ovs-vswitchd counts as down. With 5,000 new tunnels it does not answer
	// for 2.2 s.
	hungAfter = 7 * time.Second
)

// StateUnknown is the BFDStatus.State of every port with BFD while ovs-vswitchd
// is down. The database then still holds the last state that ovs-vswitchd
// wrote.
const StateUnknown = "unknown"

// pulse reports whether ovs-vswitchd runs and answers. The database does not
// show this: it keeps the last state of every port after ovs-vswitchd has
// ended. A pulse may be used from any goroutine.
type pulse struct {
	db   string
	wake func() // called when down has changed
	now  func() time.Time
	beat func(context.Context) // called after every successful check in run

	mu       sync.Mutex // held while ovs-vswitchd is asked
	looked   bool
	down     string    // why ovs-vswitchd is down; empty: it is not
	answered time.Time // time of the last answer; before the first answer: of the first question
	ended    bool      // no process runs
	found    bool      // ovs-vswitchd answered at least once
	due      bool      // the next call of state asks
}

// look asks ovs-vswitchd and returns the reason why it is down. It returns ""
// if ovs-vswitchd answers, or if it cannot be asked because its files are not
// next to ovs.db's socket.
func (p *pulse) look(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ask(ctx)
}

// state returns the last answer. It asks ovs-vswitchd only before the first
// answer, after renew, and while ovs-vswitchd does not run, when asking takes
// little time.
func (p *pulse) state(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looked && !p.due && !p.ended {
		return p.down
	}
	return p.ask(ctx)
}

// renew makes the next call of state ask ovs-vswitchd.
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
	case ctx.Err() != nil: // the call was interrupted, so the last answer stays
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

// errEnded is wrapped by the error for an ovs-vswitchd that does not run.
var errEnded = errors.New("ovs-vswitchd is not running")

// alive returns nil if ovs-vswitchd answers a request for its version.
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

// reach connects to ovs-vswitchd. The error wraps errEnded if ovs-vswitchd does
// not run.
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

// serverBeside reports whether Open vSwitch's daemons keep their files in the
// directory of ovsdb-server's socket. In another directory, such as one shared
// with a container, a missing pid file does not mean that ovs-vswitchd has
// ended.
func serverBeside(db string) bool {
	path, err := pidfile(db)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(path), "ovsdb-server.pid"))
	return err == nil
}

// run asks ovs-vswitchd every pulseEvery, and at once when it ends, until ctx
// is done.
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

// rest waits for d. It returns false if ctx or the connection ends first.
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

// listen opens an idle connection to ovs-vswitchd. ended is closed when either
// side closes the connection. conn is nil if ovs-vswitchd cannot be reached.
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

// blurred caches the ports of one revision with their BFD state set to unknown,
// for an ovs-vswitchd that is down. The zero value is empty.
type blurred struct {
	revision uint64
	ports    []Port
}

func (b *blurred) of(have *State) []Port {
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
