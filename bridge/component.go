package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// component is the name of the component that this package reconciles.
const component = "kernel"

// Component reconciles docker0, the device of the OVS bridge, routes,
// neighbours and sysctls. Its state is a State.
type Component[In any] struct {
	Kernel Machine
	Bridge string       // docker0, for Original
	Pool   netip.Prefix // for Restore
	// Spec returns the kernel's part of the desired state.
	Spec func(*In) Spec
}

// Machine is the network stack that a component reconciles, see Kernel.
type Machine interface {
	Observe(context.Context) (State, error)
	Apply(context.Context, []Change) error
	Watch(ctx context.Context, notify func()) error
	Refresh()
}

// Name returns "kernel".
func (c *Component[In]) Name() string { return component }

// After returns the components that must run first. "guard" may take br0 out of
// docker0. "ovs" creates br0. "docker"
// gives docker0 its address. "filter" exempts mesh traffic from masquerading.
func (c *Component[In]) After() []string { return []string{"guard", "ovs", "docker", "filter"} }

// Observe returns a State.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	return c.Kernel.Observe(ctx)
}

// Plan compares the desired with the observed state. It uses Diff.
//
// While Docker is not settled and docker0 does not have the bip, Plan does not
// change docker0 and plans its removal from the mesh. docker0's address may belong
// to another host now.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	have := s.(State)
	if req.Desired == nil {
		return plan(Spec{}, have)
	}
	want := c.Spec(req.Desired)
	if !have.OVSPort.Exists && creates(req.Upstream["ovs"], want.OVSPort) {
		have.OVSPort = Link{Name: want.OVSPort, Exists: true, MTU: want.MTU} // Open vSwitch sets the MTU (mtu_request)
	}
	if docker := req.Upstream["docker"]; !docker.Settled() && have.Bridge.Exists && !slices.Contains(have.Addrs, want.Bip) {
		p := plan(Spec{}, have)
		p.Pending = fmt.Sprintf("%s keeps its address and stays out of the mesh until Docker uses %s", want.Bridge, want.Bip)
		return p
	}
	p := plan(want, have)
	p.Problems = problems(want, have)
	return p
}

// creates reports whether the ovs component plans a change of the bridge with this
// name itself, such as its creation.
func creates(ovs reconcile.Result, name string) bool {
	return slices.ContainsFunc(ovs.Plan.Changes, func(c reconcile.Change) bool { return c.Key == ovsBridge(name) })
}

func ovsBridge(name string) reconcile.Key {
	return reconcile.Key{Component: "ovs", Kind: "bridge", Name: name}
}

// Original returns the original state of the kernel, an Original, as JSON.
func (c *Component[In]) Original(s reconcile.State) (json.RawMessage, error) {
	have := s.(State)
	former := originalOf(have)
	for _, path := range sysctlPaths(c.Bridge) {
		former.Sysctls[path] = have.Sysctls[path]
	}
	return json.Marshal(former)
}

// Restore plans the restoration of the original state. It restores docker0 only
// once Docker has its original settings, because containers use docker0 until
// then. Without an original state it plans the removal of everything that gremesh
// owns.
func (c *Component[In]) Restore(req reconcile.Request[In], original json.RawMessage, s reconcile.State) reconcile.Plan {
	have := s.(State)
	if original == nil {
		return plan(Spec{}, have)
	}
	var former Original
	if err := json.Unmarshal(original, &former); err != nil {
		return reconcile.Plan{Problems: []reconcile.Problem{{
			Code: "GM-KERNEL-ORIGINAL", Summary: "cannot read how the kernel was before gremesh: " + err.Error(),
		}}}
	}
	docker := req.Upstream["docker"]
	return plan(Spec{Restore: &RestoreSpec{
		Original: former, Pool: c.Pool, KeepBridge: !docker.Settled(), Docker: runs(docker),
	}}, have)
}

// runs reports whether a daemon runs. It returns true if this is unknown.
func runs(r reconcile.Result) bool {
	daemon, ok := r.State.(interface{ IsRunning() bool })
	return !ok || daemon.IsRunning()
}

// plan returns the changes from the observed to the desired state, with their
// dependencies on each other.
func plan(want Spec, have State) reconcile.Plan {
	changes := Diff(want, have)
	var first []Change // changes that others can depend on
	for _, c := range changes {
		if c.Key.Kind == KindAddress || c.Key.Kind == "link" && (c.Key.Field == "" || c.Key.Field == "state") {
			first = append(first, c)
		}
	}
	var p reconcile.Plan
	for _, c := range changes {
		change := reconcile.Change{Key: c.Key, From: c.Is, To: c.Should, Commands: c.Commands, Op: c}
		for _, f := range first {
			if f.Key != c.Key && needs(c.Key, f) {
				change.Needs = append(change.Needs, f.Key)
			}
		}
		if c.Should != "" && (c.Key.Kind == "link" && c.Key.Name == want.OVSPort || c.Key.Kind == "fdb") {
			change.Needs = append(change.Needs, ovsBridge(want.OVSPort))
		}
		p.Changes = append(p.Changes, change)
	}
	return p
}

// needs reports whether an object can be changed only after first was applied. All
// objects on a device need the creation of the device. A route also needs the
// device to be up and to have its address.
func needs(k reconcile.Key, first Change) bool {
	if first.Key.Kind == "link" && first.Key.Field == "" {
		return first.Is == ""
	}
	return k.Kind == "route"
}

// Apply applies changes of Plan or Restore with netlink and sysctl. See
// Kernel.Apply for errors.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	return applyAll(ctx, c.Kernel, changes)
}

// Watch calls notify whenever links, addresses, routes, neighbours or sysctls may
// have changed, until ctx ends. Kernel.Run must be running.
func (c *Component[In]) Watch(ctx context.Context, notify func()) error {
	return c.Kernel.Watch(ctx, notify)
}

// Refresh makes the next Observe read all tables from the kernel.
func (c *Component[In]) Refresh() { c.Kernel.Refresh() }

// Investigate returns the commands that show which program changes an object.
func (c *Component[In]) Investigate(k reconcile.Key) string {
	if k.Kind == "sysctl" {
		return "find the program and stop it: `grep -r " + k.Name + " /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d`, and what your configuration management sets"
	}
	return "find the program and stop it: `ip -ts monitor link address route` shows when; `networkctl` and `nmcli device` whether systemd-networkd or NetworkManager has docker0 or br0"
}

// Explain returns the change of docker0 or br0 that caused a change of an object. It
// returns false if the object does not depend on such a change.
func (c *Component[In]) Explain(prev, cur reconcile.Snapshot[In], change reconcile.Change) (string, bool) {
	was, is := prev.State.(State), cur.State.(State)
	name, k := is.Bridge.Name, change.Key
	switch {
	case k.Kind == "sysctl" && !strings.Contains(k.Name, name):
		return "", false
	case k.Kind == "link" && k.Name == is.OVSPort.Name && k.Field != "master": // br0's MTU and state do not depend on docker0
		return is.OVSPort.Name + " was created again", was.OVSPort.Index != is.OVSPort.Index
	case was.Bridge.Exists && !is.Bridge.Exists:
		return name + " was deleted", true
	case was.Bridge.Index != is.Bridge.Index:
		return name + " was created again", true
	case !slices.Equal(was.Addrs, is.Addrs) && (k.Kind == "route" || k.Kind == KindAddress):
		return fmt.Sprintf("the address of %s was changed (%s -> %s)", name, Addresses(was.Addrs), Addresses(is.Addrs)), true
	case was.Bridge.Up && !is.Bridge.Up && k.Kind == "route":
		return name + " was taken down", true
	case was.OVSPort.Index != is.OVSPort.Index && k.Kind == "link" && k.Name == is.OVSPort.Name:
		return is.OVSPort.Name + " was created again", true
	}
	return "", false
}

// Addresses lists addresses for people; "none" if there are none.
func Addresses(all []netip.Prefix) string {
	if len(all) == 0 {
		return "none"
	}
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
