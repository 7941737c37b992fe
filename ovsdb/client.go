package ovsdb

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config configures a Client: the Open vSwitch that it uses.
type Config struct {
	DB     string // address of ovsdb-server: "unix:/path" or "tcp:host:port"
	Bridge string // name of the bridge to observe: "br0"
	// StateDir is the directory for the original state, which the Client saves
	// before its first change. The Client creates it if it is missing.
	StateDir string
	Log      *slog.Logger
}

// Client holds a connection to ovsdb-server and a copy of the rows that gremesh
// needs.
type Client struct {
	config  Config
	changed chan struct{}
	heard   chan struct{} // receives a value when a port may have received its peer's first BFD packet
	tried   chan struct{} // closed when the first attempt to connect has ended
	writing sync.Mutex    // held by Apply, so that only one runs at a time
	table   table
	pulse   *pulse
	flows   *flows
	blurred blurred // guarded by table.mu

	mu   sync.Mutex
	live *session // nil while there is no connection
	down error    // why there is no connection
}

// Times of the connection.
//
// If the server hangs, each pass waits for requestTimeout. The heartbeat notices the
// hang and closes the connection at most 6 s after the server stopped.
const (
	firstRetry     = 100 * time.Millisecond
	lastRetry      = time.Second     // longest pause between attempts; a failed attempt costs almost nothing
	requestTimeout = 2 * time.Second // for an answer that needs no work in ovsdb-server
	dialTimeout    = 5 * time.Second // to connect and to receive the whole database
	firstTry       = 2 * time.Second // for the first attempt to connect
	heartbeat      = 2 * time.Second // between checks that the server is alive
	closeTimeout   = time.Second     // for closing a connection
)

// New returns a Client. It does nothing until Run is called.
func New(c Config) *Client {
	client := &Client{
		config:  c,
		changed: make(chan struct{}, 1),
		heard:   make(chan struct{}, 1),
		tried:   make(chan struct{}),
		down:    errors.New("the first attempt to connect has not ended yet"),
	}
	client.pulse = &pulse{db: c.DB, wake: client.wake, now: time.Now}
	client.flows = &flows{db: c.DB, bridge: c.Bridge, wake: client.wake}
	client.flows.renew()
	client.pulse.beat = client.flows.poll
	return client
}

// Run connects, and reconnects whenever the connection is lost, until ctx ends.
// Then it waits for all goroutines that it started, and returns nil.
func (c *Client) Run(ctx context.Context) error {
	var beats sync.WaitGroup
	beats.Go(func() { c.pulse.run(ctx) })
	defer beats.Wait()
	retry := firstRetry
	for {
		connected, err := c.connectOnce(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is not an error
		}
		if connected {
			retry = firstRetry
			c.config.Log.Warn("connection to Open vSwitch lost", "db", c.config.DB, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

// connectOnce runs one connection from start to end. Each connection has its
// own libovsdb client. A shared client could keep rows of an earlier connection
// in its cache.
func (c *Client) connectOnce(ctx context.Context) (connected bool, err error) {
	s, err := dial(ctx, c.config.DB, callbacks{wake: c.wake, invalidateFDB: func() { c.table.doubt.Store(true) }, bridge: c.flows.renew, hear: c.hear})
	if err == nil {
		c.config.Log.Info("connected to Open vSwitch", "db", c.config.DB)
		c.publish(s, nil)
		err = s.watch(ctx)
		s.close()
	}
	c.publish(nil, err)
	return s != nil, err
}

func (c *Client) publish(s *session, err error) {
	c.mu.Lock()
	changed := s != c.live
	c.live, c.down = s, err
	select {
	case <-c.tried:
	default:
		close(c.tried)
	}
	c.mu.Unlock()
	if changed {
		c.wake()
	}
}

// waitFirstConnect waits until the first attempt to connect has ended, at most
// firstTry.
func (c *Client) waitFirstConnect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	select {
	case <-c.tried:
	case <-ctx.Done():
	}
}

// session returns the current connection, or an error if there is none.
func (c *Client) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		return nil, c.unreachable(c.down)
	}
	return c.live, nil
}

// DownError reports that a part of Open vSwitch does not run or does not
// answer.
type DownError struct {
	What string // the part, and its socket or address
	Do   string // the command that starts it
	Err  error
}

// Error returns What and Do. It does not include Err, because What states the
// cause.
func (e *DownError) Error() string { return e.What + ": " + e.Do }

// Unwrap returns Err.
func (e *DownError) Unwrap() error { return e.Err }

// unreachable wraps err in a DownError that explains why ovsdb-server cannot be
// reached.
func (c *Client) unreachable(err error) error {
	path, local := strings.CutPrefix(c.config.DB, "unix:")
	switch {
	case local && errors.Is(err, fs.ErrNotExist):
		return &DownError{"Open vSwitch is not running (no socket at " + path + ")", StartCommand, err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &DownError{"Open vSwitch is not running (no process listens at " + cmp.Or(path, c.config.DB) + ")", StartCommand, err}
	}
	what := "Open vSwitch does not answer at " + c.config.DB
	if !errors.Is(err, context.DeadlineExceeded) {
		what += " (" + innermost(err) + ")"
	}
	return &DownError{what, RestartCommand, err}
}

// Values of DownError.Do; also the remedies when ovs-vswitchd is down.
const (
	StartCommand   = "systemctl start openvswitch-switch"
	RestartCommand = "systemctl restart openvswitch-switch"
)

// innermost returns the text of the innermost error, without the text of the
// layers that wrap it.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// Changed receives a value when something may have changed since the last
// value: a bridge, a port, the state of a BFD session, or the connection. The
// value carries no details; call Observe to get the state.
func (c *Client) Changed() <-chan struct{} { return c.changed }

func (c *Client) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
