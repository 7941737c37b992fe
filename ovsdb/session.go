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

// session is one connection to ovsdb-server and the cache that it feeds. It
// never reconnects.
type session struct {
	ovs     client.Client
	settled chan struct{} // capacity 1: cur_cfg may have changed
	dead    chan struct{} // closed when the session has ended
	last    snapshot
	ours    atomic.Pointer[map[string]bool] // names of the ports that come and go by the Apply under way
	// transactions are under way, each with a time limit of its own: a large one
	// keeps ovsdb-server from all else.
	transactions atomic.Int32
	marking      sync.Mutex
	marked       bool // the marker's row is there; guarded by marking
}

var errLost = errors.New("ovsdb-server closed the connection")

// notices are what a session calls in libovsdb's only event goroutine; they must
// not block.
type notices struct {
	wake   func() // when a row changes
	doubt  func() // before that, unless nothing but a BFD session did
	bridge func() // before wake, when a bridge other than its ports has changed
	hear   func() // when a row becomes that of an interface to be hurried
}

// dial connects and fills the cache. It takes no longer than dialTimeout,
// whatever becomes of ctx: when the context of one of its calls ends, libovsdb
// looks at an answer that may just be coming in, which is a data race (v0.7.0).
func dial(ctx context.Context, db string, tell notices) (*session, error) {
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
	// One monitor: with several, libovsdb mixes them up. Its updates are
	// checked against the cache, and a contradiction ends the connection;
	// those of the newer monitor_cond_since are not.
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

// event runs in libovsdb's only event goroutine: it signals and returns. is is
// nil for a row that is gone, and was for one that has come.
func (s *session) event(is, was model.Model, tell notices) {
	switch row := cmp.Or(is, was).(type) {
	case *markerRow:
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
			tell.doubt()
		}
		if row, ok := is.(*bridgeRow); ok && !s.expected(row, was) {
			tell.bridge()
		}
		s.last.event(is, was)
		if row, is := is.(*interfaceRow); is && row.shakes() {
			tell.hear()
		}
		tell.wake()
	}
}

// expect has the rows of ports that come and go by changes be no reason for doubt.
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
	case *bridgeRow: // the rows of its ports tell by themselves
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

// watch returns why the connection has ended, or ctx's error.
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

// ask returns when ovsdb-server has answered. All that was committed before the
// question is in the cache then: updates and answers come in one stream, and
// libovsdb handles it in order.
func (s *session) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bounded(ctx, func() error {
		// Not the caller's context, nor one that ends as soon: when it ends,
		// Echo looks at an answer that may just be coming in, which is a data
		// race (v0.7.0). The heartbeat will have closed the connection by then.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*patience)
		defer cancel()
		return s.ovs.Echo(ctx)
	})
}

// close ends the connection and waits until libovsdb's goroutines have ended;
// those that hang in a write to a server that reads nothing end with it.
func (s *session) close() {
	defer close(s.dead)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = bounded(ctx, func() error {
		s.ovs.Close()
		for s.ovs.CurrentEndpoint() != "" {
			select {
			case <-s.ovs.DisconnectNotify(): // is not sent when nobody waits
			case <-time.After(time.Millisecond):
			}
		}
		return nil
	})
}

// bounded calls f and stops waiting for it when ctx ends. libovsdb holds a lock
// while it writes to the socket, so a server that has stopped reading outlives
// every context that it is called with.
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
