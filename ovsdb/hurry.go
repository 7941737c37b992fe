package ovsdb

import (
	"context"
	"time"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// hurriedMinTx is one more than Open vSwitch's default of bfd:min_tx, in
// milliseconds (ovs-vswitchd.conf.db(5), Interface).
const hurriedMinTx = "101"

// hurryEvery is how often handshakes are hurried at most. As a mesh forms they
// come in a row, and ovs-vswitchd goes through all that it has for each change;
// it acts on one within 100 ms (decision 6).
const hurryEvery = 50 * time.Millisecond

// Hurry ends the BFD handshakes of ports of ours that are under way, as soon as
// they are, until ctx ends; it then returns nil. It is no difference from what
// should be, so neither Diff nor an audit knows of it, and it is done once in a
// port's life.
//
// Until a session is up, each end sends once a second at the most (RFC 5880,
// section 6.8.3), so that the end which hears the other's first packet keeps
// its answer back for up to a second. A change of min_tx makes Open vSwitch
// start a poll sequence (section 6.5), and that packet leaves at once.
func (c *Client) Hurry(ctx context.Context) error {
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
		if p.hurries() {
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
	// Nobody waits until ovs-vswitchd has acted on it: that does not make it
	// any faster.
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	_, err = s.transact(ctx, nudges)
	return err
}

// hurries tells whether the port is ours, has heard its peer, and was not
// nudged yet.
func (p Port) hurries() bool { return p.Ours && p.BFD.State == "init" && p.MinTx == "" }

// shakes is hurries, but for whose the port is.
func (row *interfaceRow) shakes() bool {
	return row.BFDStatus["state"] == "init" && row.BFD["min_tx"] == ""
}

func (c *Client) hear() {
	select {
	case c.heard <- struct{}{}:
	default:
	}
}
