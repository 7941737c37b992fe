package ovsdb

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Component reconciles the bridge and the tunnels of this host. Its state is an
// Observation.
type Component[In any] struct {
	Client Machine
	// Spec returns the desired state of Open vSwitch.
	Spec func(*In) Spec
	// NICs returns the devices that lead to a network outside of this host. It
	// is called only if the bridge has a port that may be one.
	NICs func(context.Context) ([]string, error)
}

// Machine is the Open vSwitch that a component reconciles, see Client.
type Machine interface {
	Observe(context.Context) (State, error)
	Apply(context.Context, []Change) error
	Changed() <-chan struct{}
	Refresh()
}

// Observation is Open vSwitch, and the devices that lead out of this host.
type Observation struct {
	State
	NICs []string
}

// Name returns "ovs".
func (c *Component[In]) Name() string { return component }

// After returns the components that run before a tunnel is made: the guard, and
// the gate, which lets a peer's packets in.
func (c *Component[In]) After() []string { return []string{"guard", "gate"} }

// Observe returns an Observation. Its error is a DownError, or one of NICs.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	have, err := c.Client.Observe(ctx)
	if err != nil {
		return nil, err
	}
	s := Observation{State: have}
	if slices.ContainsFunc(have.Ports, have.mayLeadOut) {
		s.NICs, err = c.NICs(ctx)
	}
	return s, err
}

// Plan compares the states with Diff. While ovs-vswitchd is down, Plan still
// corrects its database, because ovs-vswitchd acts on it when it starts.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	var want Spec
	if req.Desired != nil {
		want = c.Spec(req.Desired)
	}
	have := s.(Observation)
	p := plan(want, have.State)
	if problem, halt := uplinkLoop(have); problem != nil && req.Desired != nil {
		p.Problems = append(p.Problems, *problem)
		if p.Halt = halt; halt {
			p.Changes = nil
		}
	}
	return p
}

// Original returns the MTU of a bridge that gremesh did not create. It returns
// JSON null if there is no such bridge.
func (c *Component[In]) Original(s reconcile.State) (json.RawMessage, error) {
	b := s.(Observation).Bridge
	if !b.Exists || b.Ours {
		return json.RawMessage("null"), nil
	}
	return json.Marshal(Original{b.Name, b.MTU})
}

// Restore plans the removal of everything that gremesh created, and restores
// the MTU of another program's bridge.
func (c *Component[In]) Restore(_ reconcile.Request[In], original json.RawMessage, s reconcile.State) reconcile.Plan {
	var former Original
	if len(original) > 0 {
		if err := json.Unmarshal(original, &former); err != nil {
			return reconcile.Plan{Problems: []reconcile.Problem{{
				Code: "GM-OVS-ORIGINAL", Summary: "cannot read how Open vSwitch was before gremesh: " + err.Error(),
			}}}
		}
	}
	return plan(Spec{Back: &former}, s.(Observation).State)
}

// Apply commits the changes and returns when ovs-vswitchd has applied them.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	own := make([]Change, 0, len(changes))
	for _, change := range changes {
		own = append(own, change.Op.(Change))
	}
	return c.Client.Apply(ctx, own)
}

// Watch calls notify when a row, a BFD session or the connection changes, until
// ctx ends. It needs a running Client.
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

// Refresh makes the next Observe ask ovs-vswitchd for the state that causes no
// events: the forwarding table and the flows.
func (c *Component[In]) Refresh() { c.Client.Refresh() }

// Investigate returns the commands that show which program writes to Open
// vSwitch.
func (c *Component[In]) Investigate(reconcile.Key) string {
	return "find the program and stop it: `journalctl -t ovs-vsctl` has the commands that were run, `ovsdb-client monitor Interface,Port,Bridge` shows when"
}

// Explain returns the cause of a change in Open vSwitch, if it can be
// recognized.
func (c *Component[In]) Explain(prev, cur reconcile.Snapshot[In], change reconcile.Change) (string, bool) {
	was, is := prev.State.(Observation).State, cur.State.(Observation).State
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

func hasPort(have State, peer string) bool {
	return slices.ContainsFunc(have.Ports, func(p Port) bool { return p.Ours && p.Peer.ID == peer })
}

// broadcastDelay bounds the delay of a change to protected under contention. On
// an unprotected port, broadcasts from one tunnel leave by all others. Between
// three hosts they circulate without end.
const broadcastDelay = time.Second

// plan returns the changes and problems of a desired and an observed state.
func plan(want Spec, have State) reconcile.Plan {
	left, rest := Prune(want, have)
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

// DownCode is the code of the problem that ovs-vswitchd does not act on its
// database.
const DownCode = "GM-OVS-DOWN"

// problems returns the problems that keep Open vSwitch from its desired state
// or stop its packets. left and rest are want and have without settled tunnels.
func problems(want, left Spec, rest, have State) []reconcile.Problem {
	var all []reconcile.Problem
	if have.Down != "" {
		all = append(all, reconcile.Problem{
			Code:    DownCode,
			Summary: have.Down + ": packets to other hosts can be lost, and the state of the tunnels is unknown",
			Remedy:  RestartCommand,
		})
	}
	for _, c := range slices.Concat(conflicts(left, rest), UnprotectedTunnels(want.Bridge, have)) {
		all = append(all, reconcile.Problem{
			Code: "GM-OVS-CONFLICT", Object: c.Key.String(), Summary: fmt.Sprintf("%s: %s", c.Key, c.What), Remedy: c.Do,
		})
	}
	pinned := slices.ContainsFunc(want.Tunnels, func(t Tunnel) bool { return t.MAC != MAC{} })
	if have.StaticFDBError != "" && pinned {
		all = append(all, reconcile.Problem{
			Code:    "GM-OVS-LEARNS",
			Summary: "cannot install static MAC entries, so traffic to a host that has been silent for 300 s is flooded to all tunnels: " + have.StaticFDBError,
			Remedy:  "no action is needed if that is acceptable; otherwise run Open vSwitch 3.1 or later, and give the agent access to the directory of its sockets",
		})
	}
	return all
}

// IsUserspace reports whether the bridge has Open vSwitch's userspace datapath,
// whose tunnel packets do not pass the kernel.
func (a State) IsUserspace() bool { return a.Bridge.Datapath == "netdev" }

// EachForeignTunnel calls f for each tunnel port that is not gremesh's. A zero
// remote means that the port receives from any address.
func (a State) EachForeignTunnel(f func(kind string, remote netip.Addr, bridge string)) {
	for i := range a.Ports {
		p := &a.Ports[i]
		if !p.Ours && (p.Remote.IsValid() || p.Unreadable["options:remote_ip"] != "") {
			f(p.Type, p.Remote, p.Bridge)
		}
	}
}

// IsDown reports whether ovs-vswitchd does not act on the database.
func (a State) IsDown() bool { return a.Down != "" }
