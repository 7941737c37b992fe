package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ovn-org/libovsdb/ovsdb"
)

const (
	// applyTimeout bounds an Apply whose context has no earlier deadline. A
	// thousand tunnels take less than one second.
	applyTimeout = 10 * time.Second
	// settleTimeout is the time for ovs-vswitchd to apply a transaction, plus
	// settlePerChange for each change: 5,000 tunnels took 2.2 s. If
	// ovs-vswitchd is down, waiting longer is useless: the transaction is
	// committed, and ovs-vswitchd applies it when it starts. If it runs on a
	// busy machine, Apply waits for up to applyTimeout.
	settleTimeout   = 2 * time.Second
	settlePerChange = time.Millisecond
)

// Apply commits the changes in one transaction, all or none, and returns when
// ovs-vswitchd has applied them. After that, Observe returns the ofport or the
// error of every port. Apply enables BFD on new ports in a second transaction.
// Then it changes the forwarding table, flows and flags, because they need
// their ports. If Apply returns an error, the transaction may still have been
// committed; call Observe to find out.
func (c *Client) Apply(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.saveOriginal(ctx, changes); err != nil {
		return err
	}
	s, err := c.session()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	s.expect(changes)
	defer s.expect(nil)
	if slices.ContainsFunc(changes, func(change Change) bool { return len(change.ops)+len(change.refs) > 0 }) {
		err = c.configure(ctx, s, changes)
	}
	var numbers map[string]int
	if err == nil {
		numbers, err = c.applyFDB(ctx, s, changes)
		err = errors.Join(err, c.steer(ctx, changes)) // also if one entry was refused: flows can drop a peer that has moved
	}
	if err != nil {
		c.Refresh()
		return err
	}
	c.table.noteApplied(changes, numbers)
	return nil
}

// configure commits changes and waits for ovs-vswitchd. It enables BFD on new
// ports when ovs-vswitchd has applied everything else, or when the wait has
// timed out.
func (c *Client) configure(ctx context.Context, s *session, changes []Change) error {
	changes, enable := deferBFD(changes)
	nextCfg, err := s.commit(ctx, changes)
	if err != nil {
		return fmt.Errorf("change %d things in Open vSwitch: %w", len(changes), err)
	}
	err = c.applied(ctx, s, nextCfg, changes)
	if len(enable) > 0 {
		if _, failed := s.transact(ctx, enable); failed != nil {
			err = errors.Join(err, fmt.Errorf("enable BFD on %d new tunnels: %w", len(enable), failed))
		}
	}
	return err
}

// applied waits until ovs-vswitchd has applied the changes.
func (c *Client) applied(ctx context.Context, s *session, nextCfg int, changes []Change) error {
	short, cancel := context.WithTimeout(ctx, settleTimeout+time.Duration(len(changes))*settlePerChange)
	defer cancel()
	err := s.settle(short, nextCfg)
	advice := "is it running? (systemctl status openvswitch-switch)"
	if short.Err() != nil && ctx.Err() == nil && vswitchdRuns(ctx, c.config.DB) {
		err = s.settle(ctx, nextCfg)
		advice = "it runs; its log, ovs-vswitchd.log, may say what keeps it"
	}
	if err != nil {
		return fmt.Errorf("%d changes are in Open vSwitch's database, but ovs-vswitchd has not applied them: %w; %s", len(changes), err, advice)
	}
	return nil
}

// commit returns the value of cur_cfg that shows that the changes are applied
// (ovs-vswitchd.conf.db(5), Open_vSwitch next_cfg).
func (s *session) commit(ctx context.Context, changes []Change) (nextCfg int, err error) {
	roots, err := s.roots()
	if err != nil {
		return 0, err
	}
	var ops []ovsdb.Operation
	var objects []string // object of each operation, for errors
	if len(roots) == 0 {
		// The database is empty, so create its row, as ovs-vsctl does. The
		// column is needed, because libovsdb omits an empty row.
		ops = append(ops, insert(tableRoot, "root", nil, ovsdb.Row{"next_cfg": 0}))
		objects = append(objects, "Open_vSwitch")
	}
	var referrers []referrer
	rows := make(map[referrer][]any)
	of := make(map[referrer]string)
	for _, change := range changes {
		for _, op := range change.ops {
			ops = append(ops, op)
			objects = append(objects, change.Object)
		}
		for _, ref := range change.refs {
			if len(rows[ref.to]) == 0 {
				referrers = append(referrers, ref.to)
				of[ref.to] = change.Object
			}
			rows[ref.to] = append(rows[ref.to], ovsdb.UUID{GoUUID: ref.id})
		}
	}
	for _, to := range referrers {
		ops = append(ops, refer(to, rows[to]))
		object := of[to]
		if more := len(rows[to]) - 1; more > 0 {
			object += fmt.Sprintf(", or one of %d more,", more)
		}
		objects = append(objects, object)
	}
	ops = append(ops,
		ovsdb.Operation{Op: ovsdb.OperationMutate, Table: tableRoot, Where: []ovsdb.Condition{root()},
			Mutations: []ovsdb.Mutation{{Column: "next_cfg", Mutator: ovsdb.MutateOperationAdd, Value: 1}}},
		ovsdb.Operation{Op: ovsdb.OperationSelect, Table: tableRoot, Columns: []string{"next_cfg"}})
	objects = append(objects, "next_cfg", "next_cfg")

	results, err := s.transact(ctx, ops)
	if err != nil {
		return 0, err
	}
	for i, r := range results[:len(ops)] {
		if op := ops[i].Op; (op == ovsdb.OperationMutate || op == ovsdb.OperationUpdate) && r.Count == 0 {
			err = errors.Join(err, fmt.Errorf("%s has changed meanwhile", objects[i]))
		}
	}
	if err != nil {
		return 0, err
	}
	for _, row := range results[len(ops)-1].Rows {
		n, _ := row["next_cfg"].(float64) // encoding/json decodes every number as float64
		nextCfg = int(n)
	}
	return nextCfg, nil
}

// transact commits the operations. If the server refuses one, the error names
// it.
func (s *session) transact(ctx context.Context, ops []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	s.transactions.Add(1)
	defer s.transactions.Add(-1)
	answer := make(chan []ovsdb.OperationResult, 1)
	if err := bounded(ctx, func() error {
		results, err := s.ovs.Transact(ctx, ops...)
		answer <- results
		return err
	}); err != nil {
		return nil, err
	}
	results := <-answer
	refused, err := ovsdb.CheckOperationResults(results, ops)
	if len(refused) > 0 {
		op := refused[0].Operation()
		return nil, fmt.Errorf("%s in %s: %w", op.Op, op.Table, refused[0])
	}
	if err != nil {
		return nil, err
	}
	return results, nil
}

// settle waits until ovs-vswitchd has applied configuration nextCfg.
func (s *session) settle(ctx context.Context, nextCfg int) error {
	for {
		roots, err := s.roots()
		if err != nil {
			return err
		}
		for _, m := range roots {
			if m.(*rootRow).CurCfg >= nextCfg {
				return nil
			}
		}
		select {
		case <-s.settled:
		case <-s.dead:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
