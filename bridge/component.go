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

// component is the name of the part of the machine that this package keeps.
const component = "kernel"

// Component reconciles docker0, the device of the OVS bridge, routes,
// neighbours and sysctls. Its state is an Actual.
type Component[In any] struct {
	Kernel *Kernel
	// Spec returns the part of the desired state that the kernel should have.
	Spec func(*In) Host
}

// Name returns "kernel".
func (c *Component[In]) Name() string { return component }

// After returns the components that make br0, give docker0 its address, and
// keep the traffic of the routes from being masqueraded.
func (c *Component[In]) After() []string { return []string{"ovs", "docker", "filter"} }

// Observe returns an Actual.
func (c *Component[In]) Observe(ctx context.Context) (reconcile.State, error) {
	return c.Kernel.Observe(ctx)
}

// Plan compares with Diff. As long as Docker is not settled, a docker0 with
// another address than the bip is left alone, and out of the mesh: that address
// may belong to another host by now.
func (c *Component[In]) Plan(req reconcile.Request[In], s reconcile.State) reconcile.Plan {
	have := s.(Actual)
	if req.Desired == nil {
		return plan(Host{}, have)
	}
	want := c.Spec(req.Desired)
	if !have.Port.Exists && creates(req.Upstream["ovs"], want.Port) {
		have.Port = Link{Name: want.Port, Exists: true, MTU: want.MTU} // by mtu_request
	}
	if docker := req.Upstream["docker"]; !docker.Settled() && have.Bridge.Exists && !slices.Contains(have.Addrs, want.Bip) {
		p := plan(Host{}, have)
		p.Pending = fmt.Sprintf("%s keeps its address and stays out of the mesh until Docker uses %s", want.Bridge, want.Bip)
		return p
	}
	p := plan(want, have)
	p.Problems = problems(want, have)
	return p
}

// creates reports whether Open vSwitch is about to make a bridge.
func creates(ovs reconcile.Result, name string) bool {
	return slices.ContainsFunc(ovs.Plan.Changes, func(c reconcile.Change) bool { return c.Key == ovsBridge(name) })
}

func ovsBridge(name string) reconcile.Key {
	return reconcile.Key{Component: "ovs", Kind: "bridge", Name: name}
}

// Original returns what the kernel had before gremesh, a Former.
func (c *Component[In]) Original(s reconcile.State) (json.RawMessage, error) {
	have := s.(Actual)
	former := formerOf(have)
	for _, path := range sysctlPaths(c.Kernel.cfg.Bridge) {
		former.Sysctls[path] = have.Sysctls[path]
	}
	return json.Marshal(former)
}

// Restore plans the way back. docker0 comes last, when Docker has its former
// settings, because containers run on it until then.
func (c *Component[In]) Restore(req reconcile.Request[In], original json.RawMessage, s reconcile.State) reconcile.Plan {
	have := s.(Actual)
	if original == nil {
		return plan(Host{}, have)
	}
	var former Former
	if err := json.Unmarshal(original, &former); err != nil {
		return reconcile.Plan{Problems: []reconcile.Problem{{
			Code: "GM-KERNEL-ORIGINAL", Summary: "cannot read how the kernel was before gremesh: " + err.Error(),
		}}}
	}
	docker := req.Upstream["docker"]
	return plan(Host{Back: &Back{
		Former: former, Pool: c.Kernel.cfg.Pool, KeepBridge: !docker.Settled(), Docker: runs(docker),
	}}, have)
}

// runs reports whether a daemon runs, or may run.
func runs(r reconcile.Result) bool {
	daemon, ok := r.State.(interface{ IsRunning() bool })
	return !ok || daemon.IsRunning()
}

// plan returns the changes between two states.
func plan(want Host, have Actual) reconcile.Plan {
	changes := Diff(want, have)
	var first []Change // changes that others can need
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
		if c.Should != "" && (c.Key.Kind == "link" && c.Key.Name == want.Port || c.Key.Kind == "fdb") {
			change.Needs = append(change.Needs, ovsBridge(want.Port))
		}
		p.Changes = append(p.Changes, change)
	}
	return p
}

// needs reports whether an object can only be changed after another change: all
// objects on a device need the device, and a route needs it up, with its address.
func needs(k reconcile.Key, first Change) bool {
	if first.Key.Kind == "link" && first.Key.Field == "" {
		return first.Is == ""
	}
	return k.Kind == "route"
}

// Apply makes the changes with netlink and sysctl.
func (c *Component[In]) Apply(ctx context.Context, changes []reconcile.Change) error {
	own := make([]Change, 0, len(changes))
	for _, change := range changes {
		own = append(own, change.Op.(Change))
	}
	return c.Kernel.Apply(ctx, own)
}

// Watch notifies of links, addresses, routes and neighbours that change. The
// Kernel must run.
func (c *Component[In]) Watch(ctx context.Context, notify func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Kernel.Changed():
			notify()
		}
	}
}

// Refresh makes the next Observe read all tables of the kernel.
func (c *Component[In]) Refresh() { c.Kernel.Refresh() }

// Investigate names the commands that show who changes an object.
func (c *Component[In]) Investigate(k reconcile.Key) string {
	if k.Kind == "sysctl" {
		return "find the program and stop it: `grep -r " + k.Name + " /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d`, and what your configuration management sets"
	}
	return "find the program and stop it: `ip -ts monitor link address route` shows when; `networkctl` and `nmcli device` show whether systemd-networkd or NetworkManager manages docker0 or br0"
}

// Explain names what has become of docker0 or br0, if an object depends on it.
func (c *Component[In]) Explain(prev, cur reconcile.Snapshot[In], change reconcile.Change) (string, bool) {
	was, is := prev.State.(Actual), cur.State.(Actual)
	name, k := is.Bridge.Name, change.Key
	switch {
	case k.Kind == "sysctl" && !strings.Contains(k.Name, name):
		return "", false
	case k.Kind == "link" && k.Name == is.Port.Name && k.Field != "master": // its MTU and state depend on nothing
		return "", false
	case was.Bridge.Exists && !is.Bridge.Exists:
		return name + " was deleted", true
	case was.Bridge.Index != is.Bridge.Index:
		return name + " was created again", true
	case !slices.Equal(was.Addrs, is.Addrs) && (k.Kind == "route" || k.Kind == KindAddress):
		return fmt.Sprintf("the address of %s was changed (%s -> %s)", name, addresses(was.Addrs), addresses(is.Addrs)), true
	case was.Bridge.Up && !is.Bridge.Up && k.Kind == "route":
		return name + " was taken down", true
	case was.Port.Index != is.Port.Index && k.Kind == "link" && k.Name == is.Port.Name:
		return is.Port.Name + " was created again", true
	}
	return "", false
}

func addresses(all []netip.Prefix) string {
	if len(all) == 0 {
		return "none"
	}
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
