package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

const schema = "/usr/share/openvswitch/vswitch.ovsschema"

// DB returns the address of the host's ovsdb-server, in the notation of OVS.
func (h *Host) DB() string { return "unix:" + h.path("ovs", "db.sock") }

// StartOVS starts the host's ovsdb-server and ovs-vswitchd, and sets the
// underlay address. It uses the existing database, or creates an empty one.
// Both daemons must be stopped.
func (h *Host) StartOVS(ctx context.Context) error {
	if err := h.StartOVSDB(ctx); err != nil {
		return err
	}
	if err := h.StartVswitchd(ctx); err != nil {
		return err
	}
	return h.addressUp(ctx)
}

// StartOVSDB starts ovsdb-server, for example after KillOVSDB.
func (h *Host) StartOVSDB(ctx context.Context) error {
	db := h.path("ovs", "conf.db")
	if _, err := os.Stat(db); errors.Is(err, os.ErrNotExist) {
		if _, err := h.Exec(ctx, "ovsdb-tool", "create", db, schema); err != nil {
			return err
		}
	}
	_, err := h.Exec(ctx, "ovsdb-server", db, "--remote=p"+h.DB(),
		"--pidfile", "--detach", "--no-chdir", "--log-file", "-vconsole:off")
	if err != nil {
		return err
	}
	_, err = h.Exec(ctx, "ovs-vsctl", "--no-wait", "init")
	return err
}

// StartVswitchd starts ovs-vswitchd, for example after KillVswitchd.
func (h *Host) StartVswitchd(ctx context.Context) error {
	_, err := h.Exec(ctx, "ovs-vswitchd", h.DB(),
		"--pidfile", "--detach", "--no-chdir", "--log-file", "-vconsole:off")
	if err != nil || h.lab.cfg.Datapath != "netdev" {
		return err
	}
	return h.knowNeighbours(ctx)
}

// addressUp gives the host its underlay addresses. On the userspace datapath,
// the address is on an OVS bridge that holds the NIC, because tunnels find
// their route by it. The MAC of that bridge is fixed; otherwise a restarted
// ovs-vswitchd would choose another one.
func (h *Host) addressUp(ctx context.Context) error {
	lines := []string{"link set lo up"}
	for i, n := range h.nics() {
		dev := n.name
		if h.lab.cfg.Datapath == "netdev" {
			dev = n.bridge
			_, err := h.Exec(ctx, "ovs-vsctl", "--may-exist", "add-br", dev,
				"--", "set", "bridge", dev, "datapath_type=netdev", "fail_mode=standalone", "other_config:hwaddr="+h.mac(i),
				"--", "set", "interface", dev, fmt.Sprintf("mtu_request=%d", h.lab.cfg.MTU),
				"--", "--may-exist", "add-port", dev, n.name)
			if err != nil {
				return err
			}
			// The kernel also receives the packets that arrive at the NIC.
			// Without this setting it would answer ARP requests for the
			// bridge's address with the NIC's MAC, where no tunnel ends.
			if _, err := h.Exec(ctx, "sysctl", "-qw", "net.ipv4.conf."+n.name+".arp_ignore=8"); err != nil {
				return err
			}
		}
		lines = append(lines,
			"link set "+n.name+" up",
			fmt.Sprintf("address replace %s/%d dev %s%s", addrAt(n.subnet, h.index), n.subnet.Bits(), dev, atOnce(n.subnet)),
			"link set "+dev+" up")
	}
	if h.lab.hasRouter() {
		lines = append(lines, fmt.Sprintf("route replace default via %s", routerAddr(h.nics()[0].subnet)))
	}
	return h.lab.ip(ctx, h.Name, lines...)
}

// atOnce returns the option of ip(8) that makes an IPv6 address usable at once,
// without duplicate address detection.
func atOnce(subnet netip.Prefix) string {
	if subnet.Addr().Is6() {
		return " nodad"
	}
	return ""
}

// mac returns the MAC of the bridge that holds the host's NIC number nic, on
// the userspace datapath.
func (h *Host) mac(nic int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", nic, h.index) }

// knowNeighbours sets the MAC addresses of the other hosts and of the router in
// ovs-vswitchd. ovs-vswitchd learns them from ARP answers that it sees. It does
// not see an answer whose flow is already in the datapath, because the kernel
// has just sent the same request. The tunnel is then silent for as long as
// requests continue (observed with 3.1). The kernel's datapath asks the kernel.
func (h *Host) knowNeighbours(ctx context.Context) error {
	script := "ovs-appctl tnl/neigh/aging 3600 >/dev/null" // seconds; the maximum
	know := func(bridge string, addr netip.Addr, mac string) {
		script += fmt.Sprintf(" && ovs-appctl tnl/neigh/set %s %s %s >/dev/null", bridge, addr, mac)
	}
	for i, n := range h.nics() {
		for _, other := range h.lab.hosts {
			if other != h && other.nics()[i].subnet == n.subnet {
				know(n.bridge, addrAt(n.subnet, other.index), other.mac(i))
			}
		}
		if i == 0 && h.lab.hasRouter() {
			know(n.bridge, routerAddr(n.subnet), routerMAC(slices.Index(h.lab.cfg.Subnets, n.subnet)))
		}
	}
	_, err := h.Exec(ctx, "sh", "-c", script)
	return err
}

// UnderlayDevice returns the name of the device that has the host's underlay
// address.
func (h *Host) UnderlayDevice() string {
	if h.lab.cfg.Datapath == "netdev" {
		return "br-phy"
	}
	return "eth0"
}

// StopOVS stops both daemons as a service manager does. The database stays.
func (h *Host) StopOVS(ctx context.Context) error {
	return errors.Join(
		h.killPidfile(ctx, h.path("ovs", "ovs-vswitchd.pid"), syscall.SIGTERM),
		h.killPidfile(ctx, h.path("ovs", "ovsdb-server.pid"), syscall.SIGTERM),
	)
}

// KillVswitchd kills ovs-vswitchd, as a crash does.
func (h *Host) KillVswitchd(ctx context.Context) error {
	return h.killPidfile(ctx, h.path("ovs", "ovs-vswitchd.pid"), syscall.SIGKILL)
}

// KillOVSDB kills ovsdb-server, as a crash does.
func (h *Host) KillOVSDB(ctx context.Context) error {
	return h.killPidfile(ctx, h.path("ovs", "ovsdb-server.pid"), syscall.SIGKILL)
}

// WipeOVS removes the database of a host whose OVS has been stopped.
func (h *Host) WipeOVS() error { return os.Remove(h.path("ovs", "conf.db")) }
