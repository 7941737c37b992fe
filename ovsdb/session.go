package ovsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/client"
	"github.com/ovn-org/libovsdb/model"
	"github.com/ovn-org/libovsdb/ovsdb"
)

// session is one connection to ovsdb-server with the cache that it fills. It
// never reconnects.
type session struct {
	ovs     client.Client
	settled chan struct{} // capacity 1: cur_cfg may have changed
	dead    chan struct{} // closed when the session has ended
	last    snapshot
	ours    atomic.Pointer[map[string]bool] // names of the ports that the current Apply adds or deletes
	// transactions counts the transactions in progress. Each has its own time
	// limit. A large one keeps ovsdb-server from answering the heartbeat, so
	// the heartbeat ignores failures meanwhile.
	transactions atomic.Int32
	marking      sync.Mutex
	marked       bool // the barrier row exists; guarded by marking
}

var errLost = errors.New("ovsdb-server closed the connection")

// callbacks are the callbacks of a session. libovsdb's single event goroutine
// calls them, so they must not block.
type callbacks struct {
	wake          func() // called when a row changes
	invalidateFDB func() // called before wake, if the change may affect the forwarding table
	bridge        func() // called before wake, if a bridge changed other than in its ports
	hear          func() // called when a BFD handshake of an interface can be accelerated
}

// dial connects and fills the cache. It takes at most dialTimeout and ignores
// the end of ctx. If the context of a call ends, libovsdb reads an answer that
// may still be arriving, which is a data race (v0.7.0).
func dial(ctx context.Context, db string, tell callbacks) (*session, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
	defer cancel()
	m, err := model.NewClientDBModel(database, tables())
	if err != nil {
		return nil, err
	}
	silent := logr.Discard()
	ovs, err := client.NewOVSDBClient(m, client.WithEndpoint(db), client.WithLogger(&silent))
	if err != nil {
		return nil, err
	}
	if err := ovs.Connect(ctx); err != nil {
		return nil, err
	}
	s := &session{ovs: ovs, settled: make(chan struct{}, 1), dead: make(chan struct{}), last: snapshot{changed: make(map[string]bool)}}
	if rows := ovs.Cache(); rows != nil {
		rows.AddEventHandler(&cache.EventHandlerFuncs{
			AddFunc:    func(_ string, is model.Model) { s.event(is, nil, tell) },
			UpdateFunc: func(_ string, was, is model.Model) { s.event(is, was, tell) },
			DeleteFunc: func(_ string, was model.Model) { s.event(nil, was, tell) },
		})
	}
	// Use one monitor only, because libovsdb confuses several. Use
	// monitor_cond: libovsdb checks its updates against the cache, and a
	// contradiction ends the connection. It does not check the updates of the
	// newer monitor_cond_since.
	monitor := ovs.NewMonitor()
	monitor.Method = ovsdb.ConditionalMonitorRPC
	for table, row := range tables() {
		if table == tableMarker {
			continue
		}
		monitor.Tables = append(monitor.Tables, client.TableMonitor{Table: table, Fields: columnsOf(row)})
	}
	if _, err := ovs.Monitor(ctx, monitor); err != nil {
		s.close()
		return nil, fmt.Errorf("monitor: %w", err)
	}
	return s, nil
}

// event handles the change of one row. It runs in libovsdb's single event
// goroutine and does not block. is is nil for a deleted row, and was is nil for
// a new row.
func (s *session) event(is, was model.Model, tell callbacks) {
	switch row := cmp.Or(is, was).(type) {
	case *barrierRow:
		row.reached <- struct{}{}
	case *rootRow:
		select {
		case s.settled <- struct{}{}:
		default:
		}
		if old, known := was.(*rootRow); is != nil && (!known || !maps.Equal(old.OtherConfig, row.OtherConfig)) {
			s.last.event(is, was)
			tell.wake()
		}
	default:
		if !s.expected(is, was) && (is == nil || was == nil || unsettled(was, is)) {
			tell.invalidateFDB()
		}
		if row, ok := is.(*bridgeRow); ok && !s.expected(row, was) {
			tell.bridge()
		}
		s.last.event(is, was)
		if row, is := is.(*interfaceRow); is && row.inHandshake() {
			tell.hear()
		}
		tell.wake()
	}
}

// expect names the ports that changes add or delete, so that their rows do not
// invalidate the forwarding table.
func (s *session) expect(changes []Change) {
	names := make(map[string]bool)
	for _, c := range changes {
		if c.port != nil {
			names[c.port.name] = true
		}
	}
	s.ours.Store(&names)
}

func (s *session) expected(is, was model.Model) bool {
	name := ""
	switch row := cmp.Or(is, was).(type) {
	case *bridgeRow: // the rows of its ports have events of their own
		old, known := was.(*bridgeRow)
		return is != nil && known && sameBridge(row, old)
	case *portRow:
		name = row.Name
	case *interfaceRow:
		name = row.Name
	}
	ours := s.ours.Load()
	return ours != nil && (*ours)[name]
}

// watch waits until the connection has ended and returns the reason, or ctx's
// error.
func (s *session) watch(ctx context.Context) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ovs.DisconnectNotify():
			return errLost
		case <-tick.C:
			if err := s.ask(ctx); err != nil && s.transactions.Load() == 0 {
				return err
			}
		}
	}
}

// ask returns when ovsdb-server has answered an echo request. The cache then
// holds all transactions that were committed before the request: updates and
// answers arrive in one stream, and libovsdb handles them in order.
func (s *session) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return bounded(ctx, func() error {
		// Do not use the caller's context, or one that ends as early. When it
		// ends, Echo reads an answer that may still be arriving, which is a
		// data race (v0.7.0). The heartbeat closes the connection before this
		// longer context ends.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*requestTimeout)
		defer cancel()
		return s.ovs.Echo(ctx)
	})
}

// close ends the connection and waits until libovsdb's goroutines have ended,
// at most closeTimeout. Goroutines that hang in a write, because the server does
// not read, end too.
func (s *session) close() {
	defer close(s.dead)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = bounded(ctx, func() error {
		s.ovs.Close()
		for s.ovs.CurrentEndpoint() != "" {
			select {
			case <-s.ovs.DisconnectNotify(): // it is not sent if nobody waits
			case <-time.After(time.Millisecond):
			}
		}
		return nil
	})
}

// bounded calls f, and returns early with an error when ctx ends. libovsdb
// holds a lock while it writes to the socket. If the server stops reading, a
// call to libovsdb can therefore outlast its context.
func bounded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer from ovsdb-server: %w", ctx.Err())
	}
}
