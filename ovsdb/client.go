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

// Config says which Open vSwitch a Client speaks to.
type Config struct {
	DB     string // where ovsdb-server listens: "unix:/path" or "tcp:host:port"
	Bridge string // the bridge to observe: "br0"
	// StateDir is where it is kept what was before the first change; made when
	// missing.
	StateDir string
	Log      *slog.Logger
}

// Client keeps a connection to ovsdb-server and a copy of what matters there.
type Client struct {
	config  Config
	changed chan struct{}
	heard   chan struct{} // a port may have heard its peer for the first time
	tried   chan struct{} // closed when the first attempt to connect has ended
	writing sync.Mutex    // one Apply at a time
	table   table
	pulse   *pulse
	flows   *flows
	blurred blurred // guarded by table.mu

	mu   sync.Mutex
	live *session // nil while there is no connection
	down error    // why there is none
}

// Times of the connection.
//
// A server that hangs holds up every pass for patience, until the heartbeat has
// noticed and the connection is given up: 6 s after it stopped, at the latest.
const (
	firstRetry  = 100 * time.Millisecond
	lastRetry   = time.Second     // an attempt that nobody answers costs next to nothing
	patience    = 2 * time.Second // for an answer that takes ovsdb-server no work
	dialTimeout = 5 * time.Second // for a connection, with all that the database holds
	firstTry    = 2 * time.Second // for the first attempt to connect
	heartbeat   = 2 * time.Second // between questions whether the server is alive
	farewell    = time.Second     // for a connection to close
)

// New makes a Client, which does nothing until Run is called.
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

// Run connects, and connects again whenever the connection is lost, until ctx
// ends. It returns nil then, when all that it started has ended.
func (c *Client) Run(ctx context.Context) error {
	var beats sync.WaitGroup
	beats.Go(func() { c.pulse.run(ctx) })
	defer beats.Wait()
	retry := firstRetry
	for {
		connected, err := c.connectOnce(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that it was told to end is no error
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

// connectOnce lives as long as one connection. Every connection has a libovsdb
// client of its own, so that no row of an earlier one can be left in its cache.
func (c *Client) connectOnce(ctx context.Context) (connected bool, err error) {
	s, err := dial(ctx, c.config.DB, notices{wake: c.wake, doubt: func() { c.table.doubt.Store(true) }, bridge: c.flows.renew, hear: c.hear})
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

// firstTried returns when the first attempt to connect has ended, or has taken
// too long.
func (c *Client) firstTried(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	select {
	case <-c.tried:
	case <-ctx.Done():
	}
}

// session is the current connection.
func (c *Client) session() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		return nil, c.unreachable(c.down)
	}
	return c.live, nil
}

// DownError is the error of a part of Open vSwitch that does not run or answer.
type DownError struct {
	What string // which, and where
	Do   string // the command that starts it
	Err  error
}

// Error names the part, the command and, unless What says it already, the cause.
func (e *DownError) Error() string { return e.What + ": " + e.Do }

// Unwrap returns the cause.
func (e *DownError) Unwrap() error { return e.Err }

// unreachable says in plain words why ovsdb-server cannot be asked.
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

// Commands of DownError.Do, and of an operator whose ovs-vswitchd is down.
const (
	StartCommand   = "systemctl start openvswitch-switch"
	RestartCommand = "systemctl restart openvswitch-switch"
)

// innermost is the cause without the words that each layer puts before it.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// Changed receives a value when something may have changed since the last one:
// a bridge, a port, the state of a BFD session, or the connection. It carries no
// more than that; Observe tells what is.
func (c *Client) Changed() <-chan struct{} { return c.changed }

func (c *Client) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
