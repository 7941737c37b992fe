package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Config names the devices that a Kernel observes.
type Config struct {
	Bridge string       // Docker's bridge: "docker0"
	Port   string       // the OVS bridge's own device: "br0"
	Pool   netip.Prefix // other programs' routes inside it are observed; zero: none are
	// StateDir is the directory in which SaveOriginal stores the original state. It
	// is created if it is missing.
	StateDir string
	Log      *slog.Logger
}

// Kernel observes and changes the network stack of this process's network
// namespace.
type Kernel struct {
	cfg        Config
	changed    chan struct{}
	changes    reconcile.Broadcast
	sysctls    sysctls
	litter     litter
	tables     *tables
	remembered atomic.Bool
}

// New returns a Kernel. It starts nothing.
func New(cfg Config) *Kernel {
	k := &Kernel{cfg: cfg, changed: make(chan struct{}, 1)}
	k.tables = newTables(cfg, k.signal)
	return k
}

// Refresh makes the next Observe read the cached tables from the kernel again.
func (k *Kernel) Refresh() { k.tables.refresh() }

// Observe returns the current state of the kernel. While Run runs, it takes the
// tables that grow with the number of peers from a cache. It reads them in full at
// least every 30 s, and after Refresh.
func (k *Kernel) Observe(ctx context.Context) (State, error) {
	if err := ctx.Err(); err != nil {
		return State{}, err
	}
	sysctls, err := k.readSysctls()
	if err != nil {
		return State{}, err
	}
	have := State{Sysctls: sysctls}
	links, err := dump(netlink.LinkList)
	if err != nil {
		return State{}, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
		if leadsOut(l) {
			have.NICs = append(have.NICs, l.Attrs().Name)
		}
	}
	have.Gretaps = gretaps(links)
	have.Tunnels = foreignTunnels(links)
	have.StrictRPFilter = strict(slices.Collect(maps.Values(names)))
	have.Bridge, have.OVSPort = Link{Name: k.cfg.Bridge}, Link{Name: k.cfg.Port}
	var bridge, port netlink.Link
	for _, l := range links {
		switch l.Attrs().Name {
		case k.cfg.Bridge:
			bridge, have.Bridge = l, link(l, names)
		case k.cfg.Port:
			if have.ForeignKind = l.Type(); ofOpenVSwitch(l) {
				port, have.OVSPort, have.ForeignKind = l, link(l, names), ""
			}
		}
	}
	for _, l := range links {
		if bridge != nil && l.Attrs().MasterIndex == bridge.Attrs().Index && l.Attrs().Name != k.cfg.Port {
			have.Attached = append(have.Attached, l.Attrs().Name)
		}
	}

	for _, name := range k.litter.orphans(bridge, links) {
		if name != k.cfg.Port {
			have.Orphans = append(have.Orphans, name)
		}
	}
	have.UnattachedVeths = k.litter.strays(links)
	if bridge != nil {
		addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(bridge, netlink.FAMILY_V4) })
		if err != nil {
			return State{}, fmt.Errorf("list addresses of %s: %w", k.cfg.Bridge, err)
		}
		for _, a := range addrs {
			have.Addrs = append(have.Addrs, prefix(a.IPNet))
		}
		if have.Addrs6, err = addrs6(bridge); err != nil {
			return State{}, err
		}
	}
	if err := k.tables.look(&have, bridge, port, names); err != nil {
		return State{}, err
	}
	tree := false
	if bridge != nil {
		if have.Switches, tree, err = bridgeSwitches(bridge); err != nil {
			return State{}, err
		}
	}
	have.Unforwarding = notForwarding(have.NICs)
	if have.OVSPort.Master == have.Bridge.Name && bridge != nil && port != nil {
		flags, err := portFlags(port)
		if err != nil {
			return State{}, err
		}
		have.Flood, have.PortBlocks = floodOf(flags), portBlocks(flags, hasCarrier(port), tree)
	}
	return have, nil
}

// Apply applies the changes in order. If a change fails, Apply skips its remaining
// steps and continues with the next change. It returns all errors joined. When ctx
// ends, it does not start another change. The caller must have stored the original
// state (see SaveOriginal) before the first Apply.
func (k *Kernel) Apply(ctx context.Context, changes []Change) error {
	on, err := newSession()
	if err != nil {
		return err
	}
	defer on.Close()
	var steps []step
	for _, c := range changes {
		steps = append(steps, c.steps...)
	}
	k.tables.applying(steps)
	defer k.tables.applying(nil)
	var errs []error
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, s := range c.steps {
			if err := s.apply(on); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s, err))
				break
			}
		}
	}
	now, err := k.lookAtSysctls()
	k.sysctls.swap(now) // so that our own changes cause no signal
	return errors.Join(append(errs, err)...)
}

// ofOpenVSwitch reports whether a device can be an OVS bridge's own port. On the
// kernel's datapath such a port has the type openvswitch. On the userspace datapath
// it is a tap device.
func ofOpenVSwitch(l netlink.Link) bool { return l.Type() == "openvswitch" || l.Type() == "tuntap" }

// leadsOut reports whether a device is a NIC, or is built on NICs: a bond, team or
// VLAN. Devices of containers and virtual machines have the types veth and tuntap.
func leadsOut(l netlink.Link) bool {
	switch l.Type() {
	case "bond", "team", "vlan":
		return true
	}
	return l.Type() == "device" && l.Attrs().Flags&net.FlagLoopback == 0
}

func link(l netlink.Link, names map[int]string) Link {
	a := l.Attrs()
	return Link{
		Name:   a.Name,
		Exists: true,
		Index:  a.Index,
		MAC:    a.HardwareAddr,
		MTU:    a.MTU,
		Up:     a.Flags&net.FlagUp != 0,
		Master: names[a.MasterIndex],
	}
}

func addrs6(l netlink.Link) ([]netip.Prefix, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list IPv6 addresses of %s: %w", l.Attrs().Name, err)
	}
	var all []netip.Prefix
	for _, a := range list {
		if p := prefix(a.IPNet); p.Addr().Is6() { // if the kernel has no IPv6, it lists the addresses of all families
			all = append(all, p)
		}
	}
	return all, nil
}

// listRoutes returns the unicast IPv4 routes of the main table. names maps the
// indexes of devices to their names.
func listRoutes(names map[int]string) ([]Route, error) {
	var routes []Route
	err := eachRoute(func(message netlink.Route) {
		if r, is := unicast(message, names); is {
			routes = append(routes, r)
		}
	})
	return routes, err
}

// eachRoute calls visit for each IPv4 route of the main table, of any type.
func eachRoute(visit func(netlink.Route)) error {
	messages, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET}})
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, m := range messages {
		message, err := readRoute(m)
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
		if message.Table == unix.RT_TABLE_MAIN && message.Flags&unix.RTM_F_CLONED == 0 {
			visit(message)
		}
	}
	return nil
}

// dump calls list again if the kernel's tables changed during the listing, because
// the result of netlink is then incomplete. It calls list at most ten times.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return nil, err
}

// prefix converts a network and keeps its host bits. nil stands for the destination
// of the default route, 0.0.0.0/0.
func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits)
}
