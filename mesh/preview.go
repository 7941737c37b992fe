package mesh

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/ovsdb"
)

// Preview lists the changes that a Loop would make now.
type Preview struct {
	Host    string       `json:"host"`
	Subnet  netip.Prefix `json:"subnet"`            // zero while the host holds no lease; then nothing would change
	Assumed []string     `json:"assumed,omitempty"` // facts that are not known yet and were assumed
	Waiting string       `json:"waiting,omitempty"` // the reason why a host has no lease yet
	// Drift is in the order of the changes. A shell that runs all of its
	// commands brings the host to the state in which the Loop would leave it.
	// The keys of daemon.json have no commands, nor has Docker's restart, which
	// stops containers.
	Drift      []drift.Drift `json:"drift"`
	DaemonJSON string        `json:"daemon_json"`      // the path of the file
	Problems   []Problem     `json:"problems"`         // reasons why gremesh cannot make some changes
	Unseen     []string      `json:"unseen,omitempty"` // components that could not be observed, with the reason; if there are any, Drift is empty
}

// Plan returns the changes that a pass would make now, and makes none.
func (l *Loop) Plan(ctx context.Context) Preview {
	l.busy.Lock()
	defer l.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	return l.cfg.Preview(ctx, l.paired(l.cfg.Membership.View()), l.last.Load().keep)
}

// Preview returns the changes that a Loop would make in its first pass for this
// view. It uses only these components: Switch, Kernel, Docker, NAT and
// Masquerade.
func (c LoopConfig) Preview(ctx context.Context, view View, keep Keep) Preview {
	p := Preview{
		Host: view.Self.Name, Subnet: view.Self.Subnet, Waiting: view.Waiting, DaemonJSON: c.DaemonJSON,
		Drift: []drift.Drift{}, Problems: []Problem{},
	}
	if !view.Self.Subnet.IsValid() {
		return p
	}
	var here machine
	var err error
	c.Switch.Refresh()
	c.Kernel.Refresh()
	if here.ovs, err = c.Switch.Observe(ctx); err != nil {
		p.Unseen = append(p.Unseen, err.Error())
	}
	desired, problems := c.plan(view, keep, here.ovs)
	p.Problems = append(p.Problems, problems...)
	if here.docker, err = c.Docker.Observe(ctx); err != nil {
		p.Unseen = append(p.Unseen, err.Error())
	}
	if here.host, err = c.Kernel.Observe(ctx); err != nil {
		p.Unseen = append(p.Unseen, err.Error())
	}
	switch here.nat, err = c.NAT.Observe(ctx); {
	case errors.Is(err, filter.ErrUnable):
		desired.NAT = filter.Rules{}
		p.Problems = append(p.Problems, Problem{What: err.Error()})
	case err != nil:
		p.Unseen = append(p.Unseen, err.Error())
	}
	if len(p.Unseen) > 0 {
		return p
	}
	desired.NAT = guarded(desired.NAT, here.ovs, here.host.Tunnels, !here.leftAlone() || slices.Contains(here.host.Addrs, desired.Host.Bip))
	bars, stop := lan(here.ovs, here.host.NICs)
	if p.Problems = append(p.Problems, bars...); stop {
		return p
	}
	for _, t := range []*docker.Trouble{here.docker.Unsupported, here.docker.Misread, here.docker.Silent, here.docker.Futile} {
		if t != nil {
			p.Problems = append(p.Problems, troubled(t))
		}
	}
	p.Drift = append(p.Drift, here.drift(*desired, c.DockerRestart)...)
	p.Problems = append(p.Problems, problemsIn(filter.Problems(desired.NAT, filter.Observation{State: here.nat}))...)
	p.Problems = append(p.Problems, stranger(desired.Host.OVSPort, here.host.ForeignKind)...)
	for _, conflict := range ovsdb.Conflicts(desired.Switch, here.ovs) {
		p.Problems = append(p.Problems, Problem{What: conflict.Key.String() + ": " + conflict.What, Do: conflict.Do})
	}
	return p
}

// machine holds the observed state of a host.
type machine struct {
	ovs    ovsdb.State
	docker docker.State
	host   bridge.State
	nat    filter.State
}

// drift returns all changes, in order, that bring the machine to the desired
// state.
func (m machine) drift(desired Desired, restart []string) []drift.Drift {
	found := []drift.Drift{}
	for _, c := range switchChanges(desired.Switch, m.ovs) {
		found = append(found, c.Drift)
	}
	if m.leftAlone() {
		desired.Docker = docker.Settings{}
	}
	for _, c := range docker.Diff(desired.Docker, m.docker) {
		found = append(found, c.Drift)
	}
	if m.restarts(desired) {
		by := cmp.Or(strings.Join(restart, " "), "you")
		found = append(found, drift.Drift{Object: dockerd, Is: "running with the settings from before", Should: "restarted by " + by})
	}
	for _, c := range filter.Diff(desired.NAT, m.nat) {
		found = append(found, c.Drift)
	}
	if (m.leftAlone() || m.docker.Futile != nil) && m.host.Bridge.Exists && !slices.Contains(m.host.Addrs, desired.Host.Bip) {
		return found // docker0 stays as Docker has configured it
	}
	for _, c := range bridge.Diff(desired.Host, m.hostThen(desired)) {
		found = append(found, c.Drift)
	}
	return found
}

// switchChanges returns the changes of Open vSwitch, including those of a
// second pass. Diff leaves a new port to the next pass if an old port still has
// the identity of its tunnel.
func switchChanges(want ovsdb.Spec, have ovsdb.State) []ovsdb.Change {
	changes := ovsdb.Diff(want, have)
	have.Ports = slices.DeleteFunc(slices.Clone(have.Ports), func(p ovsdb.Port) bool {
		_, wanted := tunnelOf(want, p.Name)
		return p.Ours && !wanted
	})
	known := func(c ovsdb.Change) bool {
		return slices.ContainsFunc(changes, func(old ovsdb.Change) bool { return old.Key == c.Key })
	}
	for _, c := range ovsdb.Diff(want, have) {
		if !known(c) {
			changes = append(changes, c)
		}
	}
	return changes
}

// hostThen predicts the state of the kernel after the changes to Open vSwitch
// and Docker. It adds the device of a new bridge, because Diff ignores a device
// that does not exist. It also predicts the effect of a Docker restart on
// docker0.
func (m machine) hostThen(desired Desired) bridge.State {
	have, want := m.host, desired.Host
	made := slices.ContainsFunc(ovsdb.Diff(desired.Switch, m.ovs), func(c ovsdb.Change) bool {
		return c.Key.Kind == "bridge" && c.Key.Field == "" && c.Is == ""
	})
	if made {
		have.OVSPort = bridge.Link{Name: want.OVSPort, Exists: true, MTU: want.MTU} // through mtu_request
	}
	if m.restarts(desired) && have.Bridge.Exists && !slices.Contains(have.Addrs, want.Bip) {
		have.Addrs = []netip.Prefix{want.Bip} // Docker changes the address in place, and the kernel then drops the routes
		have.Routes = slices.DeleteFunc(slices.Clone(have.Routes), func(r bridge.Route) bool { return r.Link == want.Bridge })
	}
	return have
}

// restarts reports whether Docker would have to be restarted.
func (m machine) restarts(desired Desired) bool {
	return m.docker.Running && !m.leftAlone() && m.docker.Futile == nil && (m.docker.NeedsRestart || docker.Restarts(docker.Diff(desired.Docker, m.docker)))
}

// leftAlone reports whether gremesh neither writes daemon.json nor restarts
// Docker on this host.
func (m machine) leftAlone() bool { return m.docker.Unsupported != nil || m.docker.Misread != nil }
