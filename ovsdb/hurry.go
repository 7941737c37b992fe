package ovsdb

import (
	"context"
	"time"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// hurriedMinTx is Open vSwitch's default of bfd:min_tx plus 1, in milliseconds
// (ovs-vswitchd.conf.db(5), Interface).
const hurriedMinTx = "101"

// hurryEvery is the minimum time between two rounds. When a mesh forms, many
// handshakes follow each other, and ovs-vswitchd checks its whole configuration
// for each change. It acts on a change within 100 ms (decision 6).
const hurryEvery = 50 * time.Millisecond

// AccelerateBFD accelerates the BFD handshakes of gremesh's ports when they are in
// progress, until ctx ends; then it returns nil. It sets bfd:min_tx once in the
// life of a port. The changed value is not drift: neither Diff nor an audit
// reports it.
//
// Until a session is up, each end sends at most once per second (RFC 5880,
// section 6.8.3). An end that receives the peer's first packet therefore delays
// its answer by up to a second. A change of min_tx makes Open vSwitch start a
// poll sequence (section 6.5), and that packet leaves at once.
func (c *Client) AccelerateBFD(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.heard:
		}
		if err := c.hurry(ctx); err != nil && ctx.Err() == nil {
			c.config.Log.Debug("cannot speed up BFD handshakes; each takes about a second", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(hurryEvery):
		}
	}
}

func (c *Client) hurry(ctx context.Context) error {
	have, err := c.Observe(ctx)
	if err != nil {
		return err
	}
	var nudges []ovsdb.Operation
	for _, p := range have.Ports {
		if p.needsPoll() {
			nudges = append(nudges, set(tableInterface, p.iface, column{name: "bfd", key: "min_tx", value: hurriedMinTx}))
		}
	}
	if len(nudges) == 0 {
		return nil
	}
	s, err := c.session()
	if err != nil {
		return err
	}
	// Do not wait for ovs-vswitchd to act on the change, because waiting does
	// not make it faster.
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	_, err = s.transact(ctx, nudges)
	return err
}

// needsPoll reports whether the port is gremesh's, has received its peer's first
// packet, and has not been accelerated yet.
func (p Port) needsPoll() bool { return p.Ours && p.BFD.State == "init" && p.MinTx == "" }

// inHandshake is like needsPoll, but does not check the owner of the port.
func (row *interfaceRow) inHandshake() bool {
	return row.BFDStatus["state"] == "init" && row.BFD["min_tx"] == ""
}

func (c *Client) hear() {
	select {
	case c.heard <- struct{}{}:
	default:
	}
}
