package ovsdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// steer is a change of flows or of port flags, which are not in the database.
type steer struct {
	bridge       string
	port         string // port whose flags are cleared; empty: none
	flags        PortFlags
	normal       bool      // add the flow that forwards
	bind, unbind []Binding // flows to add first, and to delete
}

// diffForwarding returns the changes that make the bridge forward packets
// again: the flow of gremesh's bridge, and the flags of gremesh's ports. have
// contains only the ports that are not settled.
func diffForwarding(want Spec, have State) []Change {
	f := have.Forwarding
	if f == nil || !have.Bridge.Exists || have.Bridge.Name != want.Bridge {
		return nil
	}
	var changes []Change
	if have.Bridge.Ours && !f.Normal && !have.Bridge.flushes() {
		changes = append(changes, Change{
			Drift: drift.Of(key("flow of bridge", want.Bridge, ""), "", normalFlow, "ovs-ofctl "+arguments("add-flow", want.Bridge, normalFlow)),
			steer: &steer{bridge: want.Bridge, normal: true},
		})
	}
	clear := func(port string) {
		flags, is := f.Flags[port]
		if !is {
			return
		}
		c := Change{Drift: drift.Of(key(kindPort, port, "flags"), flags.String(), ""), steer: &steer{bridge: want.Bridge, port: port, flags: flags}}
		for _, action := range flags.actions("") {
			c.Commands = append(c.Commands, "ovs-ofctl "+arguments("mod-port", want.Bridge, port, action))
		}
		changes = append(changes, c)
	}
	if have.Bridge.Ours {
		clear(want.Bridge)
	}
	for i := range have.Ports {
		if p := &have.Ports[i]; p.Ours && p.Bridge == want.Bridge && len(f.Flags) > 0 {
			clear(p.Name)
		}
	}
	return changes
}

// flushes reports whether a setting of the bridge removes the flow:
// fail_mode=secure or a controller. Open vSwitch adds the flow again when the
// setting is removed.
func (b Bridge) flushes() bool {
	return slices.ContainsFunc(b.Settings, func(s Setting) bool {
		return s.table == tableBridge && (s.Column == blockSecure.name || s.Column == blockController.name)
	})
}

// forwardingConflicts returns the flows and flags that stop packets and that
// gremesh must not change.
func forwardingConflicts(have State) []Conflict {
	f, b := have.Forwarding, have.Bridge
	if f == nil || !b.Exists {
		return nil
	}
	object, add := key(kindBridge, b.Name, ""), "ovs-ofctl "+arguments("add-flow", b.Name, normalFlow)
	var found []Conflict
	if !f.Normal && !b.Ours && !b.flushes() {
		found = append(found, Conflict{object, "no flow forwards all packets (" + normalFlow + " is missing)", add})
	}
	if f.Count > 0 {
		do := "if nobody needs them: ovs-ofctl del-flows " + b.Name
		if !b.Ours {
			do += " && " + add
		}
		flows := "1 flow that is not gremesh's decides"
		if f.Count > 1 {
			flows = fmt.Sprintf("%d flows that are not gremesh's decide", f.Count)
		}
		found = append(found, Conflict{object, flows + " which packets pass, such as " + f.Others[0][:min(len(f.Others[0]), maxShown)], do})
	}
	if f.Override != "" {
		match := strings.TrimSuffix(f.Override, ",actions=NORMAL")
		found = append(found, Conflict{object, "the flow " + f.Override[:min(len(f.Override), maxShown)] + " forwards frames of every tunnel, so a member of the mesh can send with the address of another one",
			"if nobody needs it: ovs-ofctl " + arguments("--strict", "del-flows", b.Name, match)})
	}
	if flags, is := f.Flags[b.Name]; is && !b.Ours {
		do := make([]string, 0, 1)
		for _, action := range flags.actions("") {
			do = append(do, "ovs-ofctl "+arguments("mod-port", b.Name, b.Name, action))
		}
		found = append(found, Conflict{key(kindPort, b.Name, ""), "its OpenFlow flags are " + flags.String() + ": the bridge's own port carries no packets one way", strings.Join(do, " && ")})
	}
	if f.Unread != "" {
		found = append(found, Conflict{object, "cannot read the OpenFlow flags of its ports, nor change its flows, so a peer whose address changes is not reached: " + f.Unread,
			"ovs-vsctl clear bridge " + b.Name + " protocols, if that is set"})
	}
	return found
}

// steer applies the changes of flows and flags.
func (c *Client) steer(ctx context.Context, changes []Change) error {
	var bridges []string
	steers := make(map[string][]*steer)
	for _, change := range changes {
		if s := change.steer; s != nil {
			if steers[s.bridge] == nil {
				bridges = append(bridges, s.bridge)
			}
			steers[s.bridge] = append(steers[s.bridge], s)
		}
	}
	var errs []error
	for _, bridge := range bridges {
		if err := apply(ctx, c.config.DB, bridge, steers[bridge]); err != nil {
			errs = append(errs, fmt.Errorf("change flows or port flags of %s: %w", bridge, err))
		}
		c.flows.renew()
	}
	return errors.Join(errs...)
}

// apply sends all changes of a bridge, and waits until the bridge has processed
// them.
func apply(ctx context.Context, db, bridge string, steers []*steer) error {
	o, err := dialOpenFlow(ctx, db, bridge)
	if err != nil {
		return err
	}
	defer o.close()
	ports := make(map[string]ofPort)
	if slices.ContainsFunc(steers, func(s *steer) bool { return s.port != "" }) {
		all, err := o.ports()
		if err != nil {
			return err
		}
		for _, p := range all {
			ports[p.name] = p
		}
	}
	for batch := range slices.Chunk(steers, steersPerBarrier) {
		for _, s := range batch {
			if err := s.send(o, ports); err != nil {
				return err
			}
		}
		if err := o.barrier(); err != nil {
			return err
		}
		if err := cmp.Or(ctx.Err(), o.renew()); err != nil {
			return err
		}
	}
	return nil
}

// steersPerBarrier limits the changes that ovs-vswitchd has not answered. It
// reads about 50 messages of a connection between two rounds of other work.
const steersPerBarrier = 50

func (s *steer) send(o *openflow, ports map[string]ofPort) error {
	if s.port != "" {
		p, exists := ports[s.port]
		if !exists {
			return nil
		}
		return o.clear(p, s.flags)
	}
	if s.normal {
		if err := o.modifyFlow(flow{action: actionNormal}, flowAdd); err != nil {
			return err
		}
	}
	for _, b := range s.bind {
		if err := o.modifyFlow(b.flow(), flowAdd); err != nil {
			return err
		}
	}
	for _, b := range s.unbind {
		if err := o.modifyFlow(b.flow(), flowDelete); err != nil {
			return err
		}
	}
	return nil
}
