package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/ovsdb"
)

// The steps that the ways measure.
const (
	firstApply = "first apply"
	nothing    = "a pass with nothing to do"
	oneMore    = "one more peer"
	oneLess    = "one less"
)

// untilApplied measures the time until the rows are applied. It is the minimum
// of every way, because all write the same rows.
const untilApplied = ": until ovs-vswitchd has applied it"

// after is the time for which ovs-vswitchd's CPU time is counted after it has
// applied a transaction. An agent's last pass ends about as long after it.
const after = 200 * time.Millisecond

// limit is the maximum time of any single step.
const limit = 2 * time.Minute

// beHost runs one host of the benchmark from start to end.
func beHost(way string, n int) ([]measured, error) {
	o, err := startSwitch()
	if err != nil {
		return nil, err
	}
	defer o.stop()
	if way == wayGremesh {
		return asAgent(o, n)
	}
	return o.asTool(way, n)
}

// asTool measures a way that uses no agent.
func (o *openSwitch) asTool(way string, n int) (found []measured, err error) {
	want, db := tunnels(n), o.path("db.sock")
	if err := applyRaw(db, rawBridge(want)); err != nil {
		return nil, err
	}
	step := func(what string, do func() error) error {
		before, err := usage(o.vswitchd.Process.Pid)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := do(); err != nil {
			return err
		}
		took := time.Since(began)
		time.Sleep(after)
		used, err := usage(o.vswitchd.Process.Pid)
		if err != nil {
			return err
		}
		found = append(found,
			measured{what + untilApplied, "s", took.Seconds()},
			measured{what + ": CPU time of ovs-vswitchd", "s", (used.cpu - before.cpu).Seconds()})
		if what == firstApply {
			found = append(found, measured{"memory of ovs-vswitchd", "MB", used.memory})
		}
		time.Sleep(quiet)
		return nil
	}
	raw := rawTunnels(want)
	do := map[string]func() error{
		wayRaw:    func() error { return applyRaw(db, raw) },
		wayBatch:  func() error { return o.callVsctl(want, 1000) },
		waySingle: func() error { return o.callVsctl(want, 1) },
	}[way]
	if do == nil {
		return nil, fmt.Errorf("there is no way %q", way)
	}
	if err := step(firstApply, do); err != nil || way != wayRaw {
		return found, err
	}
	one := want
	one.Tunnels = tunnels(n + 1).Tunnels
	one.Tunnels = slices.DeleteFunc(one.Tunnels, func(t ovsdb.Tunnel) bool { return slices.Contains(want.Tunnels, t) })
	more := rawTunnels(one)
	if err := step(oneMore, func() error { return applyRaw(db, more) }); err != nil {
		return nil, err
	}
	less, err := o.rawDelete(want.Bridge, one.Tunnels[0].Name)
	if err != nil {
		return nil, err
	}
	return found, step(oneLess, func() error { return applyRaw(db, less) })
}

// config returns the configuration of a mesh of up to 16,384 hosts. BFD is off,
// because the peers do not exist, and silent tunnels would cause work for an
// agent.
func config() mesh.Config {
	return mesh.Config{
		Space:  lease.Pool{Prefix: netip.MustParsePrefix("172.16.0.0/12"), Bits: 26},
		Switch: "br0", Datapath: "netdev", Bridge: "docker0", PerPeer: true,
		Tunnel: mesh.TunnelConfig{Type: "gre"}, UnderlayLink: "lo", UnderlayMTU: 1500, PeerGrace: time.Minute,
	}
}

// view returns a mesh in which this host has n peers.
func view(n int) mesh.View {
	v := mesh.View{Mesh: "bench", Self: host(0)}
	for i := range n {
		v.Peers = append(v.Peers, host(i+1))
	}
	return v
}

func host(i int) mesh.Host {
	return mesh.Host{
		ID: lease.ID{1, byte(i >> 8), byte(i)}, Name: fmt.Sprintf("host%d", i), Subnet: config().Space.At(i),
		Underlay: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Liveness: mesh.Alive,
	}
}

func tunnels(n int) ovsdb.Spec {
	desired, _ := mesh.Plan(config(), view(n), nil)
	return desired.Switch
}

// openSwitch is an ovsdb-server and an ovs-vswitchd with the userspace
// datapath, in this process's network namespace.
type openSwitch struct {
	dir              string
	server, vswitchd *exec.Cmd
}

func (o *openSwitch) path(name string) string { return filepath.Join(o.dir, name) }

func startSwitch() (o *openSwitch, err error) {
	dir, err := os.MkdirTemp("", "gmbench-")
	if err != nil {
		return nil, err
	}
	o = &openSwitch{dir: dir}
	defer func() {
		if err != nil {
			o.stop()
		}
	}()
	if err := o.run("ip", "link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	if err := o.run("ovsdb-tool", "create", o.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"); err != nil {
		return nil, err
	}
	if o.server, err = o.start("ovsdb-server", o.path("conf.db"), "--remote=punix:"+o.path("db.sock"), "--log-file", "-vconsole:off"); err != nil {
		return nil, err
	}
	if err := until(func() error { return o.run("ovs-vsctl", "--no-wait", "init") }); err != nil {
		return nil, err
	}
	if o.vswitchd, err = o.start("ovs-vswitchd", "unix:"+o.path("db.sock"), "--pidfile", "--log-file", "-vconsole:off"); err != nil {
		return nil, err
	}
	// This call waits for ovs-vswitchd, so it returns when ovs-vswitchd is
	// ready.
	return o, o.run("ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:bench=begun")
}

func until(f func() error) (err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

func (o *openSwitch) env() []string {
	return append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_LOGDIR="+o.dir)
}

func (o *openSwitch) start(name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...) //nolint:noctx // it lives as long as this process
	cmd.Env = o.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

func (o *openSwitch) run(name string, args ...string) error {
	_, err := o.output(name, args...)
	return err
}

// output runs a command and returns its output.
func (o *openSwitch) output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = o.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args[:min(3, len(args))]...), " "), err, out)
	}
	return string(out), err
}

// callVsctl makes the tunnels, with the given number of ports in each call.
func (o *openSwitch) callVsctl(want ovsdb.Spec, ports int) error {
	var words []string
	for i, change := range ovsdb.Diff(want, ovsdb.State{Bridge: ovsdb.Bridge{Name: want.Bridge, Exists: true}}) {
		words = append(append(words, "--"), strings.Fields(change.Commands[0])[1:]...)
		if i+1 == len(want.Tunnels) || (i+1)%ports == 0 {
			if err := o.run("ovs-vsctl", words...); err != nil {
				return err
			}
			words = nil
		}
	}
	return nil
}

func (o *openSwitch) stop() {
	var errs []error
	for _, cmd := range []*exec.Cmd{o.vswitchd, o.server} {
		if cmd != nil && cmd.Process != nil {
			errs = append(errs, cmd.Process.Kill())
			_ = cmd.Wait()
		}
	}
	if err := errors.Join(append(errs, os.RemoveAll(o.dir))...); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
