package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ovn-org/libovsdb/model"
)

// table is the known state of the observed bridge's forwarding table. The table
// is in no database and its changes cause no events. It is therefore read again
// when it may have changed: ovs-vswitchd was restarted, or a row changed. It is
// also read after Refresh. The effects of our own ports and entries are known
// without reading.
type table struct {
	doubt           atomic.Bool // the table may have changed since it was read
	mu              sync.Mutex  // held while the table is read
	asked           process     // the ovs-vswitchd that was asked last
	staticSupported bool        // that ovs-vswitchd supports static entries
	static          map[MAC]int
	version         uint64 // incremented when static changes
}

var errUnable = errors.New("this ovs-vswitchd takes no static entries (fdb/add); that of Open vSwitch 3.1 does")

// Refresh makes the next Observe read everything again that causes no events.
func (c *Client) Refresh() {
	c.table.doubt.Store(true)
	c.pulse.renew()
	c.flows.renew()
}

// PurgeFlows makes ovs-vswitchd compute all flows of its datapaths again
// (ovs-appctl revalidator/purge). It drops all installed flows. The next packet
// of each flow installs a new one.
func (c *Client) PurgeFlows(ctx context.Context) error {
	runs, err := vswitchd(c.config.DB)
	if err != nil {
		return err
	}
	ctl, err := dialControl(ctx, c.config.DB, runs)
	if err != nil {
		return err
	}
	defer ctl.close()
	if _, err := ctl.call(ctx, "revalidator/purge"); err != nil {
		return fmt.Errorf("purge ovs-vswitchd's flows: %w", err)
	}
	return nil
}

// join adds the state that ovs-vswitchd itself reports: whether it runs, its
// flows and port flags, and its forwarding table.
func (c *Client) join(ctx context.Context, have *State) {
	have.Down = c.pulse.state(ctx)
	t := &c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if have.Down != "" {
		have.Ports = c.blurred.of(have)
		return
	}
	have.Forwarding, have.flows = c.flows.state(ctx)
	err := t.read(ctx, c.config.DB, have.Bridge)
	if err != nil {
		have.StaticFDBError = err.Error()
		return
	}
	have.Static, have.table = t.static, t.version
}

func (t *table) read(ctx context.Context, db string, bridge Bridge) error {
	runs, err := vswitchd(db)
	if err != nil {
		return err
	}
	switch doubt := t.doubt.Swap(false); {
	case runs == t.asked && !t.staticSupported:
		return errUnable
	case runs == t.asked && !doubt:
		return nil
	}
	if err := t.ask(ctx, db, runs, bridge); err != nil {
		t.doubt.Store(true)
		return err
	}
	return nil
}

func (t *table) ask(ctx context.Context, db string, runs process, bridge Bridge) error {
	if bridge.OfPort <= 0 { // ovs-vswitchd has not created it yet
		t.keep(map[MAC]int{})
		t.doubt.Store(true)
		return nil
	}
	ctl, err := dialControl(ctx, db, runs)
	if err != nil {
		return err
	}
	defer ctl.close()
	shown, err := ctl.call(ctx, "fdb/show", bridge.Name)
	if err != nil {
		return fmt.Errorf("read the forwarding table of %s: %w", bridge.Name, err)
	}
	if runs != t.asked { // not earlier: ovs-vswitchd has these commands only after it has created a bridge
		commands, err := ctl.call(ctx, "list-commands")
		if err != nil {
			return err
		}
		t.asked, t.staticSupported = runs, strings.Contains(commands, "fdb/add")
	}
	if !t.staticSupported {
		return errUnable
	}
	t.keep(parseFDB(shown))
	return nil
}

func (t *table) keep(static map[MAC]int) {
	if t.static == nil || !maps.Equal(t.static, static) {
		t.static = static
		t.version++
	}
}

// noteApplied updates the table after changes that added or deleted ports or entries.
// numbers are the port numbers of the ports with new entries, by port name.
// When a port is deleted, ovs-vswitchd deletes its entries.
func (t *table) noteApplied(changes []Change, numbers map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.static == nil {
		return
	}
	static := maps.Clone(t.static)
	gone := make(map[int]bool)
	for _, c := range changes {
		if c.port != nil && c.port.number > 0 {
			gone[c.port.number] = true
		}
	}
	if len(gone) > 0 {
		maps.DeleteFunc(static, func(_ MAC, at int) bool { return gone[at] })
	}
	for _, c := range changes {
		if e := c.entry; e != nil {
			delete(static, e.mac)
			if at, is := numbers[e.port]; is && !e.gone {
				static[e.mac] = at
			}
		}
	}
	t.keep(static)
}

// unsettled reports whether ovs-vswitchd may have dropped entries because of
// the change of a row. It drops them when a port is created again or becomes
// protected, but not when the state of a BFD session changes.
func unsettled(old, now model.Model) bool {
	was, ok := old.(*interfaceRow)
	if !ok {
		return true
	}
	is, ok := now.(*interfaceRow)
	return !ok || was.Type != is.Type || deref(was.OfPort) != deref(is.OfPort) || deref(was.Error) != deref(is.Error)
}

// applyFDB adds and deletes static entries. A port that Open vSwitch could not set
// up gets none. applyFDB returns the numbers of the other ports with new entries, by
// name.
func (c *Client) applyFDB(ctx context.Context, s *session, changes []Change) (numbers map[string]int, err error) {
	var add, del [][]string
	numbers = make(map[string]int)
	for _, change := range changes {
		switch e := change.entry; {
		case e == nil:
		case e.gone:
			del = append(del, []string{e.bridge, "0", e.mac.String()})
		default:
			add = append(add, []string{e.bridge, e.port, "0", e.mac.String()})
		}
	}
	if len(add)+len(del) == 0 {
		return numbers, nil
	}
	tables := s.ovs.Cache()
	if tables == nil {
		return nil, errLost
	}
	add = slices.DeleteFunc(add, func(args []string) bool {
		_, m, err := tables.Table(tableInterface).RowByModel(&interfaceRow{Name: args[1]}) // uses the schema's index on name
		row, there := m.(*interfaceRow)
		if err != nil || !there || deref(row.OfPort) <= 0 {
			return true
		}
		numbers[row.Name] = *row.OfPort
		return false
	})

	runs, err := vswitchd(c.config.DB)
	if err != nil {
		return nil, err
	}
	// ovs-vswitchd refuses to delete a missing entry. Ignore that, because the
	// entry is gone.
	if _, err := callParallel(ctx, c.config.DB, runs, "fdb/del", del); err != nil {
		return nil, err
	}
	answers, err := callParallel(ctx, c.config.DB, runs, "fdb/add", add)
	for i, a := range answers {
		if a.err != nil && !errors.Is(a.err, errUnknown) { // Observe reports an unknown command
			err = errors.Join(err, fmt.Errorf("ovs-appctl fdb/add %s: %w", strings.Join(add[i], " "), a.err))
		}
	}
	return numbers, err
}
