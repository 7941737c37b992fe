package ovsdb

// State is the observed state of Open vSwitch on this host, as far as a Spec
// needs it. The zero State is an Open vSwitch without bridges.
type State struct {
	Bridge Bridge   // the configured bridge
	Stale  []Bridge // gremesh's bridges with another name, sorted by name
	Ports  []Port   // all ports of all bridges, including other programs' ports, sorted by name

	Database string // UUID of the only row of the table Open_vSwitch; it differs after the database was emptied

	// Static holds the static entries for untagged frames in the configured
	// bridge's forwarding table: MAC address to OfPort. It is nil if
	// ovs-vswitchd cannot be asked or does not support static entries; then
	// StaticFDBError states the reason. It is shared and read only.
	Static         map[MAC]int
	StaticFDBError string

	// Restoring is other_config:flow-restore-wait of the table Open_vSwitch.
	// While it is true, ovs-vswitchd forwards nothing.
	Restoring bool

	// Down states why ovs-vswitchd does not act on the database. It is empty if
	// ovs-vswitchd does, or if it cannot be asked because its files are not
	// next to ovs.db's socket. While ovs-vswitchd is down, BFD of every port
	// with BFD is StateUnknown, and OfPort and Error are its last values.
	Down string

	// Forwarding is the state of the configured bridge that is not in the
	// database. It is nil if it is not known.
	Forwarding *Forwarding

	flows uint64 // version of Forwarding

	revision, table uint64 // versions of the database content and of Static; 0: not observed
}

// Unchanged reports, without comparing contents, that both states were observed and
// that nothing changed between them. If it returns false, they may still be
// equal.
func (a State) Unchanged(b State) bool {
	return a.revision != 0 && a.revision == b.revision && a.table == b.table && a.StaticFDBError == b.StaticFDBError && a.Down == b.Down && a.flows == b.flows
}

// Bridge is one row of the Bridge table.
type Bridge struct {
	Name     string
	Exists   bool
	Ours     bool   // external_ids has gremesh's mark
	Mesh     string // external_ids:gremesh
	Datapath string // datapath_type; empty means "system"
	FailMode string // fail_mode; empty means "standalone"
	MTU      int    // bytes; mtu_request of its own port; 0: none
	OfPort   int    // of its own port; 0: ovs-vswitchd has not created the bridge
	Error    string // of its own port

	Settings []Setting // settings of the bridge and its own port that can stop packets
	Mirrors  []Mirror  // mirrors that reserve its own port or a port of gremesh, sorted by UUID

	uuid, local string // UUIDs of the rows of Bridge and of its own port's Interface
}

// Port is one row of the Port table with its Interface. For a port that is not
// a tunnel, only the name and type of Tunnel are set.
type Port struct {
	Tunnel              // Tunnel.BFD is true if BFD is enabled
	Bridge     string   // name of its bridge
	Interfaces []string // names of its Interfaces, sorted; more than one: a bond
	Ours       bool     // external_ids has gremesh's mark
	Mesh       string   // external_ids:gremesh
	Adopted    bool     // external_ids:gremesh-adopted: created by hand, see Adopt
	Protected  bool
	Options    []string  // keys of the Interface's options that Tunnel has no field for, sorted
	OfPort     int       // 0: not set up yet; -1: Open vSwitch could not set it up
	Error      string    // Interface error: the reason for OfPort -1
	BFD        BFDStatus // Interface bfd_status
	MinTx      string    // Interface bfd:min_tx, milliseconds; empty: the default of 100

	Settings []Setting // settings that can stop packets

	// Unreadable holds values that are not an address, number or subnet and
	// therefore do not fit in Tunnel. Its keys are "column:key": "options:key"
	// = "flow".
	Unreadable map[string]string

	uuid, iface string // UUIDs of the rows of Port and Interface
}

// BFDStatus is the state of a tunnel's BFD session (ovs-vswitchd.conf.db(5),
// Interface bfd_status). It is zero if BFD is not enabled.
type BFDStatus struct {
	State       string // "up", "init", "down", "admin_down" or StateUnknown
	Forwarding  bool   // Open vSwitch considers the path usable
	Diagnostic  string // Open vSwitch's reason why State is not up
	RemoteState string // last State received from the other end
}

// local reports whether the port is its bridge's own port, which is created and
// deleted with the bridge.
func (p *Port) local() bool { return p.Name == p.Bridge }

// tunnel reports whether the port leads to other hosts: it has a remote_ip.
// That may also be "flow", which means that OpenFlow sets the address.
func (p *Port) tunnel() bool {
	return p.Remote.IsValid() || p.Unreadable["options:remote_ip"] != ""
}
