package bridge

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// PortBlocks are the settings of a bridge port that stop its packets (bridge(8),
// link set). The zero value stops no packets.
type PortBlocks struct {
	// State is the port's state in the spanning tree. It is empty if the state is
	// forwarding, or if another state is correct. Another state is correct if the
	// port is down or has no carrier, or if the bridge runs a spanning tree.
	State    string
	Locked   bool // frames from addresses that are not in the forwarding database are dropped
	Isolated bool // frames from other isolated ports are dropped
	Suppress bool // neigh_suppress: ARP requests do not leave by the port
}

// Attributes of bridges and their ports in linux/if_link.h that the netlink library
// lacks.
const (
	brPortState    = 1  // IFLA_BRPORT_STATE
	brPortLocked   = 39 // IFLA_BRPORT_LOCKED, Linux 5.18
	brSTPState     = 5  // IFLA_BR_STP_STATE
	brVLANFilter   = 7  // IFLA_BR_VLAN_FILTERING
	brForwarding   = 3  // BR_STATE_FORWARDING
	arpIgnoreOther = 2  // value of arp_ignore that ignores requests from other networks (ip-sysctl.rst)
)

// portStates holds the names of the states of a port in linux/if_bridge.h.
var portStates = []string{"disabled", "listening", "learning", "forwarding", "blocking"}

// Switch is a setting of a device that can stop packets and that gremesh must not
// change itself.
type Switch struct {
	Object string // in the format of Change: "link docker0 stp_state"
	Is     string // the current value
	Should string // the value that stops no packets
	Why    string // the effect of Is on packets
	Do     string // the command that corrects the setting
}

// portBlocks reads PortBlocks from the attributes of a port. carrier reports whether
// the port has a carrier. tree reports whether the bridge runs a spanning tree.
func portBlocks(flags []syscall.NetlinkRouteAttr, carrier, tree bool) (b PortBlocks) {
	for _, flag := range flags {
		if len(flag.Value) != 1 {
			continue
		}
		value := flag.Value[0]
		switch flag.Attr.Type {
		case brPortState:
			if carrier && !tree && value != brForwarding {
				b.State = strconv.Itoa(int(value))
				if int(value) < len(portStates) {
					b.State = portStates[value]
				}
			}
		case brPortLocked:
			b.Locked = value == 1
		case nl.IFLA_BRPORT_ISOLATED:
			b.Isolated = value == 1
		case nl.IFLA_BRPORT_NEIGH_SUPPRESS:
			b.Suppress = value == 1
		}
	}
	return b
}

// diffBlocks returns the changes that let the port pass packets. It returns none
// while the port is not in the bridge: the kernel resets these settings when the
// port joins.
func diffBlocks(want Spec, have State) []Change {
	if !have.OVSPort.Exists || have.OVSPort.Master != want.Bridge {
		return nil
	}
	var all []Change
	open := func(name, is, should string, kind int, value byte) {
		all = append(all, change(key("link", want.OVSPort, name), is, should, setPort{want.OVSPort, name + " " + should, kind, value}))
	}
	if have.PortBlocks.State != "" {
		open("state", have.PortBlocks.State, "forwarding", brPortState, brForwarding)
	}
	if have.PortBlocks.Locked {
		open("locked", "on", "off", brPortLocked, 0)
	}
	if have.PortBlocks.Isolated {
		open("isolated", "on", "off", nl.IFLA_BRPORT_ISOLATED, 0)
	}
	if have.PortBlocks.Suppress {
		open("neigh_suppress", "on", "off", nl.IFLA_BRPORT_NEIGH_SUPPRESS, 0)
	}
	return all
}

// setPort sets one attribute of a bridge port.
type setPort struct {
	port, words string
	kind        int
	value       byte
}

func (s setPort) String() string {
	return fmt.Sprintf("bridge link set dev %s %s", s.port, strings.Replace(s.words, "state forwarding", "state 3", 1))
}

func (s setPort) apply(on *session) error {
	return on.link(s.port, func(l netlink.Link) error {
		return setBridgePort(l, map[int]byte{s.kind: s.value})
	})
}

// setBridgePort sets attributes of a bridge port. It builds the netlink message
// itself, because the netlink library does not support all attributes.
func setBridgePort(l netlink.Link, values map[int]byte) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	port := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for kind, value := range values {
		port.AddRtAttr(kind, []byte{value})
	}
	req.AddData(port)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// bridgeSwitches returns the settings of Docker's bridge that can stop packets, and
// whether the bridge runs a spanning tree. gremesh only reports these settings,
// because the bridge belongs to Docker.
func bridgeSwitches(l netlink.Link) (found []Switch, tree bool, err error) {
	name := l.Attrs().Name
	stp, vlans, err := bridgeOptions(l)
	if err != nil {
		return nil, false, err
	}
	if stp {
		found = append(found, Switch{"link " + name + " stp_state", "on", "off", "the spanning tree of " + name + " can block its ports",
			"ip link set dev " + name + " type bridge stp_state 0"})
	}
	if vlans {
		found = append(found, Switch{"link " + name + " vlan_filtering", "on", "off", "packets of ports without the right VLAN are dropped",
			"ip link set dev " + name + " type bridge vlan_filtering 0"})
	}
	if l.Attrs().RawFlags&unix.IFF_NOARP != 0 {
		found = append(found, Switch{"link " + name + " arp", "off", "on", name + " answers no ARP requests, so containers do not find their gateway",
			"ip link set dev " + name + " arp on"})
	}
	for _, device := range []string{"all", name} {
		path := sysctlARPIgnore(device)
		if n, err := strconv.Atoi(sysctlValue(path)); err == nil && (n == arpIgnoreOther || n > 3) {
			s := setSysctl{path, "0"}
			found = append(found, Switch{"sysctl " + s.key(), strconv.Itoa(n), "0", name + " does not answer ARP requests of other hosts", s.String()})
		}
	}
	return found, stp, nil
}

func sysctlARPIgnore(link string) string { return "net/ipv4/conf/" + link + "/arp_ignore" }

// sysctlValue returns the value of a sysctl, or an empty string if it cannot be
// read. path is under /proc/sys.
func sysctlValue(path string) string {
	b, _ := readSmall(filepath.Join("/proc/sys", path))
	return strings.TrimSpace(string(b))
}

// bridgeOptions reports whether a bridge runs a spanning tree and filters VLANs. The
// netlink library does not read these options.
func bridgeOptions(l netlink.Link) (stp, vlans bool, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	messages, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return false, false, fmt.Errorf("read the options of %s: %w", l.Attrs().Name, err)
	}
	for _, m := range messages {
		info := nl.DeserializeIfInfomsg(m)
		stp, vlans = optionsOf(attribute(attribute(m[info.Len():], unix.IFLA_LINKINFO), nl.IFLA_INFO_DATA))
	}
	return stp, vlans, nil
}

// optionsOf reads the options in the attribute IFLA_INFO_DATA of a bridge.
func optionsOf(data []byte) (stp, vlans bool) {
	filter := attribute(data, brVLANFilter)
	return number(attribute(data, brSTPState)) != 0, len(filter) == 1 && filter[0] != 0
}

// notForwarding returns the devices whose own forwarding sysctl is 0.
func notForwarding(devices []string) []string {
	var off []string
	for _, device := range devices {
		if sysctlValue(sysctlForwardOf(device)) == "0" {
			off = append(off, device)
		}
	}
	return off
}

// Forwarding returns the Switch for a NIC whose forwarding sysctl is 0.
func Forwarding(nic string) Switch {
	s := setSysctl{sysctlForwardOf(nic), "1"}
	return Switch{"sysctl " + s.key(), "0", "1", "packets that come in by " + nic + " are not forwarded to containers", s.String()}
}

// hasCarrier reports whether a device is up and has a carrier.
func hasCarrier(l netlink.Link) bool {
	return l.Attrs().Flags&net.FlagUp != 0 && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}
