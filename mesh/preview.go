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
	"github.com/gremesh/gremesh/bridge/masq"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/ovsdb"
)

// Preview is what a Loop would change now.
type Preview struct {
	Host    string       `json:"host"`
	Subnet  netip.Prefix `json:"subnet"`            // zero while the host holds no lease: nothing is changed then
	Assumed []string     `json:"assumed,omitempty"` // what is not known yet, and was taken to be so
	Waiting string       `json:"waiting,omitempty"` // what a host without a lease waits for
	// Drift is in the order in which it would be mended. The shell that runs all
	// of its commands brings the host to where the Loop would. The keys of
	// daemon.json have none, nor has Docker's restart, which ends containers.
	Drift      []drift.Drift `json:"drift"`
	DaemonJSON string        `json:"daemon_json"`      // the path of the file
	Problems   []Problem     `json:"problems"`         // what keeps things from being changed
	Unseen     []string      `json:"unseen,omitempty"` // parts that could not be looked at, and why: then nothing is told of the others
}

// Plan tells what a pass would change now, and changes nothing.
func (l *Loop) Plan(ctx context.Context) Preview {
	l.busy.Lock()
	defer l.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	return l.cfg.Preview(ctx, l.paired(l.cfg.Membership.View()), l.last.Load().keep)
}

// Preview tells what a Loop would change in its first pass, given the mesh. Of the
// parts it uses Switch, Kernel, Docker, NAT and Masquerade.
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
	case errors.Is(err, masq.ErrUnable):
		desired.NAT = masq.Rules{}
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
	for _, t := range []*docker.Trouble{here.docker.Unsupported, here.docker.Misread, here.docker.Futile} {
		if t != nil {
			p.Problems = append(p.Problems, troubled(t))
		}
	}
	p.Drift = append(p.Drift, here.drift(*desired, c.DockerRestart)...)
	p.Problems = append(p.Problems, obstacles(desired.NAT, here.nat)...)
	p.Problems = append(p.Problems, stranger(desired.Host.Port, here.host.Stranger)...)
	for _, conflict := range ovsdb.Conflicts(desired.Switch, here.ovs) {
		p.Problems = append(p.Problems, Problem{What: conflict.Key.String() + ": " + conflict.What, Do: conflict.Do})
	}
	return p
}

// machine is all of a host as it was observed.
type machine struct {
	ovs    ovsdb.Actual
	docker docker.Actual
	host   bridge.Actual
	nat    masq.Actual
}

// drift is all that makes the machine into what is desired, in order.
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
	for _, c := range masq.Diff(desired.NAT, m.nat) {
		found = append(found, c.Drift)
	}
	if (m.leftAlone() || m.docker.Futile != nil) && m.host.Bridge.Exists && !slices.Contains(m.host.Addrs, desired.Host.Bip) {
		return found // docker0 stays as Docker has it
	}
	for _, c := range bridge.Diff(desired.Host, m.hostThen(desired)) {
		found = append(found, c.Drift)
	}
	return found
}

// switchChanges are those of the passes that are needed: Diff leaves a new port
// to the next one where another port has its tunnel's identity still.
func switchChanges(want ovsdb.Switch, have ovsdb.Actual) []ovsdb.Change {
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

// hostThen is what the kernel will have when Open vSwitch and Docker have been
// dealt with: the bridge's own device, of which the diff is silent while there
// is none, and what a restart of Docker makes of docker0.
func (m machine) hostThen(desired Desired) bridge.Actual {
	have, want := m.host, desired.Host
	made := slices.ContainsFunc(ovsdb.Diff(desired.Switch, m.ovs), func(c ovsdb.Change) bool {
		return c.Key.Kind == "bridge" && c.Key.Field == "" && c.Is == ""
	})
	if made {
		have.Port = bridge.Link{Name: want.Port, Exists: true, MTU: want.MTU} // by mtu_request
	}
	if m.restarts(desired) && have.Bridge.Exists && !slices.Contains(have.Addrs, want.Bip) {
		have.Addrs = []netip.Prefix{want.Bip} // rewritten in place, which loses the routes
		have.Routes = slices.DeleteFunc(slices.Clone(have.Routes), func(r bridge.Route) bool { return r.Link == want.Bridge })
	}
	return have
}

// restarts tells whether Docker would have to be restarted.
func (m machine) restarts(desired Desired) bool {
	return m.docker.Running && !m.leftAlone() && m.docker.Futile == nil && (m.docker.Stale || docker.Restarts(docker.Diff(desired.Docker, m.docker)))
}

// leftAlone reports whether gremesh neither writes daemon.json nor restarts
// Docker on this host.
func (m machine) leftAlone() bool { return m.docker.Unsupported != nil || m.docker.Misread != nil }
