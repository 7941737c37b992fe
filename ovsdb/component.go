package ovsdb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Component reconciles the bridge and the tunnels of this host. Its state is an
// Actual.
type Component[In any] struct {
	Client *Client
	// Spec returns the part of the desired state that Open vSwitch should hold.
	Spec func(*In) Switch
}

// Name returns "ovs".
func (c *Component[In]) Name() string { return component }

// After returns the guard, which keeps tunnels off a bridge that leads to a
// network of its own.
func (c *Component[In]) After() []string { return []string{"guard"} }

// Observe returns an Actual, or a DownError.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	return c.Client.Observe(ctx)
}

// Plan compares with Diff. While ovs-vswitchd is down, its database is still
// kept in order, because ovs-vswitchd acts on it when it starts.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	var want Switch
	if req.Desired != nil {
		want = c.Spec(req.Desired)
	}
	return plan(want, s.(Actual))
}

// Original returns the MTU of a bridge that gremesh did not make; JSON null if
// there is none.
func (c *Component[In]) Original(s reconcile.State) (json.RawMessage, error) {
	b := s.(Actual).Bridge
	if !b.Exists || b.Ours {
		return json.RawMessage("null"), nil
	}
	return json.Marshal(Former{b.Name, b.MTU})
}

// Restore plans the removal of everything that gremesh made, and gives another
// program's bridge its MTU back.
func (c *Component[In]) Restore(_ reconcile.Request[In], original json.RawMessage, s reconcile.State) reconcile.Plan {
	var former Former
	if len(original) > 0 {
		if err := json.Unmarshal(original, &former); err != nil {
			return reconcile.Plan{Problems: []reconcile.Problem{{
				Code: "GM-OVS-ORIGINAL", Summary: "cannot read how Open vSwitch was before gremesh: " + err.Error(),
			}}}
		}
	}
	return plan(Switch{Back: &former}, s.(Actual))
}

// Apply commits the changes, and returns once ovs-vswitchd acts on them.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	own := make([]Change, 0, len(changes))
	for _, change := range changes {
		own = append(own, change.Op.(Change))
	}
	return c.Client.Apply(ctx, own)
}

// Watch notifies of rows that change, of BFD, and of the connection. The client
// must run.
func (c *Component[In]) Watch(ctx context.Context, notify func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Client.Changed():
			notify()
		}
	}
}

// Refresh makes the next Observe ask ovs-vswitchd for what it gives no notice
// of: the forwarding table and the flows.
func (c *Component[In]) Refresh() { c.Client.Refresh() }

// Investigate names the commands that show who writes to Open vSwitch.
func (c *Component[In]) Investigate(reconcile.Key) string {
	return "find the program and stop it: `journalctl -t ovs-vsctl` shows the commands that were run, `ovsdb-client monitor Interface,Port,Bridge` shows when"
}

// Explain names what else has changed in Open vSwitch.
func (c *Component[In]) Explain(prev, cur reconcile.Snapshot[In], change reconcile.Change) (string, bool) {
	was, is := prev.State.(Actual), cur.State.(Actual)
	switch {
	case is.Database != was.Database:
		return "the database of Open vSwitch was emptied", true
	case !is.Bridge.Exists && was.Bridge.Exists && change.Key.Kind != kindBridge:
		return was.Bridge.Name + " was deleted", true
	case change.Peer != "" && change.From == "" && change.Key.Kind == kindPort && !hasPort(was, change.Peer):
		return "a conflicting port was removed", true
	}
	return "", false
}

func hasPort(have Actual, peer string) bool {
	return slices.ContainsFunc(have.Ports, func(p Port) bool { return p.Ours && p.Peer.ID == peer })
}

// broadcastDelay bounds the delay of a change to protected under contention:
// without it, broadcasts that arrive by a tunnel leave by all others, and
// between three hosts that never ends.
const broadcastDelay = time.Second

// plan returns the changes and problems of a desired and an observed state.
func plan(want Switch, have Actual) reconcile.Plan {
	left, rest := Unsettled(want, have)
	var p reconcile.Plan
	bridge := key(kindBridge, want.Bridge, "")
	for _, c := range diff(left, rest) {
		change := reconcile.Change{
			Key: c.Key, From: c.Is, To: c.Should, Commands: c.Commands, Peer: c.Peer, Op: c,
		}
		if c.Key != bridge && c.Should != "" && !have.Bridge.Exists {
			change.Needs = []reconcile.Key{bridge}
		}
		if c.Key.Kind == kindPort && c.Key.Field == "protected" {
			change.MaxDelay = broadcastDelay
		}
		p.Changes = append(p.Changes, change)
	}
	p.Problems = problems(want, left, rest, have)
	return p
}

// problems returns what keeps Open vSwitch from its desired state, or its
// packets from arriving. left and rest are want and have without what is
// settled.
func problems(want, left Switch, rest, have Actual) []reconcile.Problem {
	var all []reconcile.Problem
	if have.Down != "" {
		all = append(all, reconcile.Problem{
			Code:    "GM-OVS-DOWN",
			Summary: have.Down + ": packets to other hosts can be lost, and the state of the tunnels is unknown",
			Remedy:  RestartCommand,
		})
	}
	for _, c := range slices.Concat(conflicts(left, rest), Loops(want.Bridge, have)) {
		all = append(all, reconcile.Problem{
			Code: "GM-OVS-CONFLICT", Object: c.Key.String(), Summary: fmt.Sprintf("%s: %s", c.Key, c.What), Remedy: c.Do,
		})
	}
	pinned := slices.ContainsFunc(want.Tunnels, func(t Tunnel) bool { return t.MAC != MAC{} })
	if have.Learns != "" && pinned {
		all = append(all, reconcile.Problem{
			Code:    "GM-OVS-LEARNS",
			Summary: "cannot install static MAC entries, so traffic to a host that has been silent for 300 s is flooded to all tunnels: " + have.Learns,
			Remedy:  "no action is needed if that is acceptable; otherwise run Open vSwitch 3.1 or later, and give the agent access to the directory of its sockets",
		})
	}
	return all
}

// IsDown reports whether ovs-vswitchd does not act on the database.
func (a Actual) IsDown() bool { return a.Down != "" }
