package ovsdb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ovn-org/libovsdb/ovsdb"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Setting is a column with a value that can stop, limit or divert packets
// although the bridge and its ports are configured correctly. On gremesh's
// rows, Diff resets it to Open vSwitch's default. On other rows it is a
// conflict. docs/datapath.md lists the columns of the schema.
type Setting struct {
	Object reconcile.Key
	Column string // name in ovs-vsctl: "tag", "other_config:priority-tags"
	Is     string // value as ovs-vsctl prints it
	Why    string // effect of the value on packets

	table, uuid string
	reset       column
}

// blocker describes a column that can stop packets.
type blocker struct {
	name, key string
	none      any // default value; nil: the value is removed
	why       string
}

func (b blocker) column() column { return column{name: b.name, key: b.key, value: b.none} }

// found returns the setting of a column, or nothing if is is empty.
func (b blocker) found(table string, object reconcile.Key, uuid, is string) []Setting {
	if is == "" {
		return nil
	}
	return []Setting{{Object: object, Column: b.column().String(), Is: is, Why: b.why, table: table, uuid: uuid, reset: b.column()}}
}

// The columns; see ovs-vswitchd.conf.db(5).
var (
	blockSTP        = blocker{"stp_enable", "", false, "the spanning tree blocks tunnels, and no other host carries their packets"}
	blockRSTP       = blocker{"rstp_enable", "", false, "the spanning tree blocks tunnels, and no other host carries their packets"}
	blockController = blocker{"controller", "", nil, "the controller decides which packets pass"}
	blockSecure     = blocker{"fail_mode", "", nil, "without flows of a controller the bridge forwards nothing"}
	blockSnooping   = blocker{"mcast_snooping_enable", "", false, "multicast reaches only ports where a receiver was seen"}
	blockFloodVLANs = blocker{"flood_vlans", "", nil, "packets in these VLANs go to all tunnels"}

	blockTag      = blocker{"tag", "", nil, "the port carries only packets of that VLAN"}
	blockTrunks   = blocker{"trunks", "", nil, "the port carries only packets of these VLANs"}
	blockVLANMode = blocker{"vlan_mode", "", nil, "the port adds or expects VLAN tags"}
	blockQoS      = blocker{"qos", "", nil, "packets above the rate of the QoS are dropped"}
	blockLACP     = blocker{"lacp", "", nil, "without a LACP partner the port carries nothing"}
	blockPriority = blocker{"other_config", "priority-tags", nil, "packets leave with an 802.1Q header, 4 bytes longer"}

	blockPolicing = blocker{"ingress_policing_rate", "", 0, "packets above that rate are dropped"}
	blockBFDKey   = blocker{"bfd", "check_tnl_key", nil, "BFD accepts only packets with tunnel key 0"}
)

// blockingOptions are the options of a tunnel's Interface that can stop its
// packets, with their effects. They make the two ends differ, limit the hops of
// packets, or remove the Ethernet header. Other options, such as csum, tos and
// df_default, are left to the operator.
var blockingOptions = map[string]string{
	"in_key":      "the tunnel accepts packets with that key only",
	"out_key":     "the tunnel sends packets with that key",
	"dst_port":    "the tunnel uses another UDP port than the peer's",
	"packet_type": "the tunnel carries packets without an Ethernet header",
	"ttl":         "packets live for that many hops of the underlay",
	"exts":        "the tunnel expects VXLAN extensions that the peer does not send",
	"seq":         "the tunnel adds sequence numbers that the peer may refuse",
}

func onText(is bool) string {
	if is {
		return "true"
	}
	return ""
}

// setText returns a set of integers as ovs-vsctl prints it.
func setText(set []int) string {
	if len(set) == 0 {
		return ""
	}
	return "[" + strings.ReplaceAll(strings.Trim(fmt.Sprint(set), "[]"), " ", ", ") + "]"
}

func blockingBridge(row *bridgeRow) []Setting {
	object := key(kindBridge, row.Name, "")
	in := func(b blocker, is string) []Setting { return b.found(tableBridge, object, row.UUID, is) }
	secure := ""
	if deref(row.FailMode) == "secure" {
		secure = "secure"
	}
	controllers := ""
	if n := len(row.Controllers); n > 0 {
		controllers = fmt.Sprintf("%d set", n)
	}
	return slices.Concat(in(blockSTP, onText(row.STP)), in(blockRSTP, onText(row.RSTP)), in(blockController, controllers),
		in(blockSecure, secure), in(blockSnooping, onText(row.Snooping)), in(blockFloodVLANs, setText(row.FloodVLANs)))
}

func blockingPort(row *portRow) []Setting {
	if row.Tag == nil && len(row.Trunks) == 0 && row.VLANMode == nil && row.QoS == nil && row.LACP == nil && len(row.OtherConfig) == 0 {
		return nil // the usual case; saves time with a thousand ports
	}
	object := key(kindPort, row.Name, "")
	in := func(b blocker, is string) []Setting { return b.found(tablePort, object, row.UUID, is) }
	tag, qos := "", ""
	if row.Tag != nil {
		tag = fmt.Sprint(*row.Tag)
	}
	if row.QoS != nil {
		qos = "set"
	}
	priority := row.OtherConfig[blockPriority.key]
	if priority == "false" || priority == "never" {
		priority = ""
	}
	return slices.Concat(in(blockTag, tag), in(blockTrunks, setText(row.Trunks)), in(blockVLANMode, deref(row.VLANMode)),
		in(blockQoS, qos), in(blockLACP, deref(row.LACP)), in(blockPriority, priority))
}

func blockingInterface(row *interfaceRow) []Setting {
	object := key(kindInterface, row.Name, "")
	var all []Setting
	if row.Policing != 0 {
		all = blockPolicing.found(tableInterface, object, row.UUID, fmt.Sprint(row.Policing))
	}
	if row.BFD[blockBFDKey.key] == "true" {
		all = append(all, blockBFDKey.found(tableInterface, object, row.UUID, "true")...)
	}
	for key, is := range row.Options {
		if why, blocks := blockingOptions[key]; blocks {
			all = append(all, blocker{"options", key, nil, why}.found(tableInterface, object, row.UUID, is)...)
		}
	}
	slices.SortFunc(all, func(a, b Setting) int { return cmp.Compare(a.Column, b.Column) })
	return all
}

// change resets the column of a gremesh row to its default.
func (s Setting) change() Change {
	return Change{
		Drift: drift.Of(key(s.Object.Kind, s.Object.Name, s.Column), s.Is, s.reset.text(), setColumn(s.Object.Kind, s.Object.Name, s.reset)),
		ops:   []ovsdb.Operation{set(s.table, s.uuid, s.reset)},
	}
}

// conflict reports the setting of a row that is not gremesh's.
func (s Setting) conflict() Conflict {
	return Conflict{s.Object,
		fmt.Sprintf("%s is %s: %s", s.Column, s.Is, s.Why),
		setColumn(s.Object.Kind, s.Object.Name, s.reset)}
}

// resets returns the changes that reset the settings of gremesh's rows. It
// skips fail_mode, because mendBridge corrects it.
func resets(settings []Setting) []Change {
	var changes []Change
	for _, s := range settings {
		if s.Column != blockSecure.name {
			changes = append(changes, s.change())
		}
	}
	return changes
}

// Mirror is a row of the Mirror table that reserves the bridge's own port or a
// port of gremesh for its copies (ovs-vswitchd.conf.db(5), Mirror output_port).
type Mirror struct {
	Name   string
	Output string // name of the port
	uuid   string
}

// conflict reports the mirror. gremesh never removes a mirror, because it
// belongs to another program.
func (m Mirror) conflict(bridge string) Conflict {
	return Conflict{key(kindBridge, bridge, ""),
		fmt.Sprintf("mirror %s has the output port %s: the port carries only copies, and no other packets", cmp.Or(m.Name, "without a name"), m.Output),
		ovsVsctl("remove", "bridge", bridge, "mirrors", m.uuid)}
}
