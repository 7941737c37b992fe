package testenv

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// netnsPath returns the path where a namespace of the lab is mounted.
func netnsPath(lab, name string) string { return filepath.Join(netnsDir, lab+"-"+name) }

// switchName is the name of the namespace that holds the underlay's switches.
const switchName = "underlay"

// cutRules drop the packets between two ports if the pair of ports is in the
// set cut. A cut is silent: to both ends it looks like packet loss on the way.
// Between subnets the router is on the way, so the set cutaddr contains pairs
// of addresses. The priority is -200. br_netfilter, which dockerd loads, takes
// IP packets out of the hook at -1. Up to Linux 6.1 it returns them only after
// 0.
const cutRules = `table bridge lab {
	set cut { type ifname . ifname; }
	set cutaddr { type ipv4_addr . ipv4_addr; }
	chain filters { }
	chain forward {
		type filter hook forward priority filter
		iifname . oifname @cut drop
		ip saddr . ip daddr @cutaddr drop
		jump filters
	}
}`

// nic is a host's connection to one of the underlay's switches.
type nic struct {
	name   string // on the host
	port   string // its other end, the port of the switch
	sw     string // the switch
	bridge string // the OVS bridge that holds it on the userspace datapath
	subnet netip.Prefix
}

func (h *Host) nics() []nic {
	subnets := h.lab.cfg.Subnets
	i := (h.index - 1) % len(subnets)
	all := []nic{{"eth0", h.Name, switchDev(i), "br-phy", subnets[i]}}
	if second := h.lab.cfg.Second; second.IsValid() {
		all = append(all, nic{"eth1", h.Name + "-2", "second", "br-phy2", second})
	}
	return all
}

// switchDev returns the name of the Linux bridge of underlay subnet i.
func switchDev(i int) string { return fmt.Sprintf("switch%d", i+1) }

// makeUnderlay creates the namespaces, a switch for each subnet, and a NIC in
// each host. The NIC is named eth0. Its other end is the port of the switch,
// which has the host's name.
func (l *Lab) makeUnderlay(ctx context.Context) error {
	spaces := []string{"netns add " + l.Name + "-" + switchName}
	var ports []string
	addSwitch := func(name string) {
		ports = append(ports, "link add "+name+" type bridge mcast_snooping 0", "link set "+name+" up")
	}
	for i := range l.cfg.Subnets {
		addSwitch(switchDev(i))
	}
	if l.cfg.Second.IsValid() {
		addSwitch("second")
	}
	for _, h := range l.hosts {
		ns := l.Name + "-" + h.Name
		spaces = append(spaces, "netns add "+ns)
		for _, n := range h.nics() {
			ports = append(ports, l.plug(n.port, n.sw, n.name, ns)...)
		}
	}
	if err := l.ip(ctx, "", spaces...); err != nil {
		return err
	}
	if err := l.ip(ctx, switchName, ports...); err != nil {
		return err
	}
	return l.nft(ctx, cutRules)
}

// plug returns the commands that create a port of a switch. They run in the
// switches' namespace. The other end of the port is a device in the namespace
// ns.
func (l *Lab) plug(port, sw, dev, ns string) []string {
	return []string{
		fmt.Sprintf("link add %s mtu %d type veth peer name %s mtu %d netns %s", port, l.cfg.MTU, dev, l.cfg.MTU, ns),
		fmt.Sprintf("link set %s master %s up", port, sw),
	}
}

// ip runs commands of ip(8) in a namespace of the lab, or in the root namespace
// to create namespaces. The process holds the watchdog's pipe. Otherwise, if
// the owner is killed, the watchdog would remove the lab while an orphaned ip
// process still adds to it.
func (l *Lab) ip(ctx context.Context, ns string, lines ...string) error {
	args := []string{"-batch", "-"}
	if ns != "" {
		args = append([]string{"-n", l.Name + "-" + ns}, args...)
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if l.watchdog != nil {
		cmd.ExtraFiles = []*os.File{l.watchdog.pipe}
	}
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("ip in %s-%s: %w", l.Name, ns, err)
	}
	return nil
}

// nft runs a script of nft(8) in the switches' namespace.
func (l *Lab) nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+netnsPath(l.Name, switchName), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("nft on the underlay's switch: %w", err)
	}
	return nil
}

// Cut drops all packets from one host to another, in this direction only, until
// Heal.
func (l *Lab) Cut(ctx context.Context, from, to *Host) error {
	return l.nft(ctx, cutElements(from, to))
}

// cutElements returns the commands that add one direction to the sets of
// cutRules.
func cutElements(from, to *Host) string {
	lines := fmt.Sprintf("add element bridge lab cutaddr { %s . %s }\n", from.Addr, to.Addr)
	there := to.nics()
	for i, n := range from.nics() {
		lines += fmt.Sprintf("add element bridge lab cut { %q . %q }\n", n.port, there[i].port)
	}
	return lines
}

// Partition cuts the underlay into groups, in addition to the existing cuts.
// The hosts that are in no group form one further group.
func (l *Lab) Partition(ctx context.Context, groups ...[]*Host) error {
	group := func(h *Host) int {
		return slices.IndexFunc(groups, func(g []*Host) bool { return slices.Contains(g, h) })
	}
	var script strings.Builder
	for _, a := range l.hosts {
		for _, b := range l.hosts {
			if group(a) != group(b) {
				script.WriteString(cutElements(a, b))
			}
		}
	}
	return l.nft(ctx, script.String())
}

// Heal ends all cuts, partitions and filters.
func (l *Lab) Heal(ctx context.Context) error {
	return l.nft(ctx, "flush set bridge lab cut\nflush set bridge lab cutaddr\nflush chain bridge lab filters")
}

// Replug connects the host to the switch of another underlay subnet. Its
// addresses and routes do not change.
func (h *Host) Replug(ctx context.Context, subnet netip.Prefix) error {
	i := slices.Index(h.lab.cfg.Subnets, subnet)
	if i < 0 {
		return fmt.Errorf("plug %s into the switch of %s: there is none", h.Name, subnet)
	}
	return h.lab.ip(ctx, switchName, fmt.Sprintf("link set %s master %s", h.Name, switchDev(i)))
}

// UnderlayDown disconnects the host's cable: its NIC loses the carrier.
func (h *Host) UnderlayDown(ctx context.Context) error {
	return h.lab.ip(ctx, switchName, "link set "+h.Name+" down")
}

// UnderlayUp connects the cable again.
func (h *Host) UnderlayUp(ctx context.Context) error {
	return h.lab.ip(ctx, switchName, "link set "+h.Name+" up")
}
