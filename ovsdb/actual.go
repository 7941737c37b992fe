package ovsdb

// Actual is what Open vSwitch holds on this host, as far as it matters to a
// Switch. The zero Actual is an Open vSwitch without bridges.
type Actual struct {
	Bridge Bridge   // the configured bridge
	Stale  []Bridge // bridges of ours with another name, sorted by name
	Ports  []Port   // every port of every bridge, others' too, sorted by name

	Database string // UUID of the one row of the table Open_vSwitch: an emptied database has another

	// Static are the static entries of the configured bridge's forwarding table
	// for untagged frames, MAC address to OfPort; nil where ovs-vswitchd can't be
	// asked, or takes none: then Learns says why. Shared: read only.
	Static map[MAC]int
	Learns string

	// Restoring is other_config:flow-restore-wait of the table Open_vSwitch: while
	// it is true ovs-vswitchd forwards nothing.
	Restoring bool

	// Down says why ovs-vswitchd does not act on the database; empty: it does,
	// or it cannot be asked because its files are not beside ovs.db's socket. While it is down,
	// BFD of every port is StateUnknown, and OfPort and Error are what it wrote
	// last.
	Down string

	// Forwarding is what the database does not know of the configured bridge; nil:
	// it is not known.
	Forwarding *Forwarding

	flows uint64 // the version of Forwarding

	revision, table uint64 // the same: nothing has changed in between, in the database and in Static; 0: not observed
}

// Same tells, at no cost, that both were observed and nothing has changed from
// one to the other. Otherwise they may be equal all the same.
func (a Actual) Same(b Actual) bool {
	return a.revision != 0 && a.revision == b.revision && a.table == b.table && a.Learns == b.Learns && a.Down == b.Down && a.flows == b.flows
}

// Bridge is one row of the Bridge table.
type Bridge struct {
	Name     string
	Exists   bool
	Ours     bool   // external_ids has our mark
	Mesh     string // external_ids:gremesh
	Datapath string // datapath_type; empty is "system"
	FailMode string // fail_mode; empty is "standalone"
	MTU      int    // bytes; mtu_request of its own port; 0: none
	OfPort   int    // of its own port; 0: ovs-vswitchd has not made the bridge
	Error    string // of its own port

	Settings []Setting // of the bridge and its own port that can stop packets
	Mirrors  []Mirror  // that reserve its own port or one of ours, sorted

	uuid, local string // rows of Bridge and of its own port's Interface
}

// Port is one row of the Port table with its Interface. For a port that is no
// tunnel only the name and type of the Tunnel are set.
type Port struct {
	Tunnel              // Tunnel.BFD says whether BFD is enabled
	Bridge     string   // the bridge that it is on
	Interfaces []string // names of its Interfaces, sorted; more than one: a bond
	Ours       bool     // external_ids has our mark
	Mesh       string   // external_ids:gremesh
	Adopted    bool     // external_ids:gremesh-adopted: made by hand, see Adopt
	Protected  bool
	Options    []string  // keys of the Interface's options that Tunnel has no place for, sorted
	OfPort     int       // 0: not set up yet; -1: Open vSwitch could not
	Error      string    // Interface error: why it could not
	BFD        BFDStatus // Interface bfd_status
	MinTx      string    // Interface bfd:min_tx, milliseconds; empty: the default of 100

	Settings []Setting // that can stop packets

	// Unreadable holds, by "column:key", values that are no address, number
	// or subnet and so have no place in Tunnel: "options:key" = "flow".
	Unreadable map[string]string

	uuid, iface string // rows of Port and Interface
}

// BFDStatus is the state of a tunnel's BFD session (ovs-vswitchd.conf.db(5),
// Interface bfd_status). It is zero where BFD is not enabled.
type BFDStatus struct {
	State       string // "up", "init", "down", "admin_down" or StateUnknown
	Forwarding  bool   // whether Open vSwitch thinks that packets get through
	Diagnostic  string // why State is not up, in Open vSwitch's words
	RemoteState string // State at the other end, as far as it is heard
}

// local says whether the port is its bridge's own, which comes and goes with
// the bridge.
func (p *Port) local() bool { return p.Name == p.Bridge }

// tunnel says whether the port leads to other hosts: it has a remote_ip, be it
// one that OpenFlow sets ("flow").
func (p *Port) tunnel() bool {
	return p.Remote.IsValid() || p.Unreadable["options:remote_ip"] != ""
}
