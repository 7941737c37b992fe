package mesh

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/ovsdb"
)

// undone is a host that gremesh runs on, and keeps what is done to it.
type undone struct {
	ovs    ovsdb.State
	kernel bridge.State
	docker docker.State
	former bridge.Original
	shared *ovsdb.Original
	nat    filter.State
	done   []string

	ovsErr, dockerErr, restartErr, natErr error
}

func running() *undone {
	return &undone{
		ovs:    ovsAsPlanned(planned(testHost(2)).view),
		kernel: kernelAsPlanned(),
		nat:    natAsPlanned(testView(testHost(2)), filter.FileState{}),
		docker: docker.State{
			Bip: "172.17.42.1/24", MTU: 1462, Running: true,
			Former: &docker.Values{}, Written: docker.Values{Bip: "172.17.42.1/24", MTU: 1462},
		},
		former: bridge.Original{
			Bridge: bridge.OriginalLink{Exists: true, MAC: "02:42:01:02:03:04", MTU: 1500, Up: true},
			Addrs:  []netip.Prefix{netip.MustParsePrefix("172.17.0.1/16")},
		},
	}
}

type undoneSwitch struct{ *undone }

func (u undoneSwitch) Observe(context.Context) (ovsdb.State, error) { return u.ovs, u.ovsErr }
func (u undoneSwitch) Former() (*ovsdb.Original, error)             { return u.shared, nil }
func (u undoneSwitch) Apply(_ context.Context, changes []ovsdb.Change) error {
	u.done = append(u.done, "switch")
	u.ovs = ovsdb.State{}
	return nil
}

type undoneKernel struct{ *undone }

func (u undoneKernel) Observe(context.Context) (bridge.State, error) { return u.kernel, nil }
func (u undoneKernel) Former() (*bridge.Original, error)             { return &u.former, nil }
func (u undoneKernel) Apply(_ context.Context, changes []bridge.Change) error {
	for _, c := range changes {
		switch c.Object {
		case "route 172.17.0.0/16":
			u.kernel.Routes = nil
		case "link br0 master":
			u.kernel.OVSPort.Master = ""
		case "link docker0 address":
			u.kernel.Bridge.MAC = []byte{2, 0x42, 1, 2, 3, 4}
		case "link docker0 mtu":
			u.kernel.Bridge.MTU = 1500
		case "address of docker0":
			u.kernel.Addrs = u.former.Addrs
		}
		u.done = append(u.done, c.Object)
	}
	return nil
}

type undoneDocker struct{ *undone }

func (u undoneDocker) Observe(context.Context) (docker.State, error) { return u.docker, u.dockerErr }
func (u undoneDocker) Apply(_ context.Context, changes []docker.Change) error {
	for _, c := range changes {
		u.done = append(u.done, c.Object+" = "+c.Should)
		if c.Object == "daemon.json mtu" {
			u.docker.MTU = 0
			continue
		}
		u.docker.Bip, u.docker.NeedsRestart = c.Should, u.docker.Running && c.Should != ""
		if c.Should != "" {
			u.docker.TransitionalBip = c.Should
		}
	}
	return nil
}
func (u undoneDocker) Changed() <-chan struct{} { return nil }
func (u undoneDocker) Restart(context.Context) error {
	u.done = append(u.done, "restart")
	if u.restartErr == nil {
		u.docker.NeedsRestart, u.docker.Running, u.kernel.Addrs = false, true, u.former.Addrs
	}
	return u.restartErr
}

type undoneNAT struct{ *undone }

func (u undoneNAT) Observe(context.Context) (filter.State, error) { return u.nat, u.natErr }
func (u undoneNAT) Changed() <-chan struct{}                      { return nil }
func (u undoneNAT) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}
func (u undoneNAT) Apply(_ context.Context, changes []filter.Change) error {
	for _, c := range changes {
		u.done = append(u.done, c.Object)
	}
	u.nat = filter.State{}
	return nil
}

func (u *undone) uninstall() Uninstall {
	return Uninstall{
		Switch: undoneSwitch{u}, Kernel: undoneKernel{u}, Docker: undoneDocker{u}, NAT: undoneNAT{u},
		Pool: netip.MustParsePrefix("172.17.0.0/16"), Say: func(string) {},
	}
}

var (
	packets = "nftables table ip gremesh"
	filters = []string{"nftables table ip gremesh", "nftables table bridge gremesh", "nftables table inet gremesh"}
	routes  = append([]string{"route 172.17.0.0/16", "link br0 master", "switch"}, filters...)
	restart = []string{"daemon.json bip = 172.17.0.1/16", "daemon.json mtu = ", "link docker0 address", "link docker0 mtu", "restart"}
	freed   = []string{"daemon.json bip = "}
)

func TestUninstallPutsDockerBackBeforeItsBridge(t *testing.T) {
	u := running()
	if err := u.uninstall().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := slices.Concat(routes, restart, freed); !slices.Equal(u.done, want) {
		t.Errorf("done\n%q, want\n%q", u.done, want)
	}
	u.done = nil
	if plan := u.uninstall().Plan(t.Context()); len(plan.Changes)+len(plan.Problems) > 0 {
		t.Errorf("left to do: %v", plan)
	}
	if err := u.uninstall().Run(t.Context()); err != nil || len(u.done) > 0 {
		t.Errorf("a second time: %q, %v", u.done, err)
	}
}

func TestUninstallPlanChangesNothingAndSaysWhatWillBeDone(t *testing.T) {
	u := running()
	plan := u.uninstall().Plan(t.Context())
	if len(u.done) > 0 {
		t.Errorf("done: %q", u.done)
	}
	var objects []string
	for _, c := range plan.Changes {
		objects = append(objects, c.Object)
	}
	want := []string{
		"route 172.17.0.0/16", "link br0 master", "link docker0 address", "link docker0 mtu", "address of docker0",
		"port gre43", "bridge br0",
	}
	want = slices.Concat(want, filters, []string{"daemon.json bip", "daemon.json mtu", "dockerd"})
	if !slices.Equal(objects, want) || len(plan.Stays)+len(plan.Problems) > 0 {
		t.Errorf("%q, want %q; %v", objects, want, plan)
	}
}

func TestUninstallWithoutAPartDoesTheOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*undone)
		done  []string
		says  string
	}{
		"Open vSwitch": {
			func(u *undone) { u.ovsErr = errors.New("no Open vSwitch") },
			slices.Concat(routes[:2], routes[3:], restart, freed), "no Open vSwitch",
		},
		"daemon.json": {func(u *undone) { u.dockerErr = errors.New("line 1") }, routes, "line 1"},
		"nftables": {
			func(u *undone) { u.natErr = errors.New("nft: denied") },
			slices.Concat(routes[:3], restart, freed), "nft: denied",
		},
		"the restart": {
			func(u *undone) { u.restartErr = docker.ErrNever }, slices.Concat(routes, restart), "restart it, and run this again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := running()
			tt.spoil(u)
			err := u.uninstall().Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("%v, want %q once", err, tt.says)
			}
			if !slices.Equal(u.done, tt.done) {
				t.Errorf("done\n%q, want\n%q", u.done, tt.done)
			}
			u.ovsErr, u.dockerErr, u.restartErr, u.natErr = nil, nil, nil, nil
			if err := u.uninstall().Run(t.Context()); err != nil {
				t.Error(err)
			}
			if plan := u.uninstall().Plan(t.Context()); len(plan.Changes)+len(plan.Problems) > 0 {
				t.Errorf("left to do: %v", plan)
			}
		})
	}
}

func TestUninstallThatWasEndedInARestartOfDockerStartsIt(t *testing.T) {
	u := running()
	u.docker.Bip, u.docker.MTU, u.docker.TransitionalBip, u.docker.Running = "172.17.0.1/16", 0, "172.17.0.1/16", false
	if err := u.uninstall().Run(t.Context()); err != nil || !slices.Contains(u.done, "restart") {
		t.Errorf("%q, %v", u.done, err)
	}
}

func TestUninstallLeavesADockerdAloneThatNeverTookTheBip(t *testing.T) {
	u := running()
	u.docker.NeedsRestart, u.kernel.Addrs = true, u.former.Addrs
	if err := u.uninstall().Run(t.Context()); err != nil || slices.Contains(u.done, "restart") || u.docker.Bip != "" {
		t.Errorf("%q, %v", u.done, err)
	}
}

func TestUninstallSaysWhatADockerThatDoesNotRunWillDo(t *testing.T) {
	u := running()
	u.docker.Running = false
	plan := u.uninstall().Plan(t.Context())
	if len(plan.Stays) != 1 || !strings.Contains(plan.Stays[0], `"bip": "172.17.0.1/16"`) {
		t.Errorf("%q", plan.Stays)
	}
	if err := u.uninstall().Run(t.Context()); err != nil || slices.Contains(u.done, "restart") || !slices.Equal(u.kernel.Addrs, u.former.Addrs) {
		t.Errorf("%q, %v", u.done, err)
	}
}

func TestUninstallThatKeepsTheBipTouchesNeitherDockerNorItsBridge(t *testing.T) {
	u := running()
	all := u.uninstall()
	all.KeepBip = true
	if err := all.Run(t.Context()); err != nil || !slices.Equal(u.done, routes) {
		t.Errorf("%q, %v", u.done, err)
	}
}
