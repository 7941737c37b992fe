package mesh

import (
	"fmt"
	"slices"
	"time"
)

// FullAudit is the matrix of the directed tunnels of a mesh, and what is wrong
// with them, as `gremesh audit --mesh` prints it.
type FullAudit struct {
	From   string       `json:"from"` // the host that asked
	Time   time.Time    `json:"time"`
	Hosts  []MatrixHost `json:"hosts"`   // sorted by underlay address
	Wanted int          `json:"wanted"`  // tunnels that there should be
	Up     int          `json:"up"`      // tunnels that are as they should be, and carry packets
	ByHand int          `json:"by_hand"` // wanted tunnels in whose place is one that was made by hand
	// What probes have measured from docker0 to docker0, of all paths, in seconds; 0: nothing.
	LeastRoundTrip float64 `json:"least_round_trip_seconds"`
	MostRoundTrip  float64 `json:"most_round_trip_seconds"`
	Loss           float64 `json:"loss"` // of the last probes of all paths, from 0 to 1

	Tunnels  []MatrixTunnel `json:"tunnels"`  // n(n-1), all from the first host, all from the second; of more than 100 hosts only those that are not up
	Notes    []string       `json:"notes"`    // what is well, but not as usual: pairs whose tunnel had to be of another type
	Findings []Finding      `json:"findings"` // sorted as the tunnels are, the hosts' own first; empty: clean
}

// MatrixHost is one host, by its own account where it has answered.
type MatrixHost struct {
	Row
	State string `json:"state"` // answers, silent, failed, new

	at     int  // its place in the matrix
	shared bool // another host in the matrix has its name
}

// label returns a host as findings name it: its name, and the beginning of its
// ID where two hosts have that name.
func (h *MatrixHost) label() string {
	if h.shared {
		return fmt.Sprintf("%s (%.8s)", h.Name, h.ID)
	}
	return h.Name
}

// word returns the name that a command takes for the host: its name, or the
// beginning of its ID where two hosts have that name.
func (h *MatrixHost) word() string {
	if h.shared {
		return h.ID.String()[:8]
	}
	return h.Name
}

// counts reports whether the host should have tunnels to the others that count:
// it is alive, and it holds a subnet that no older lease stands against. Status
// counts by the same rule.
func (h *MatrixHost) counts() bool { return h.State != string(Failed) && h.Subnet.IsValid() && !h.Cut }

// States of a host in the matrix.
const (
	Answers = "answers"
	Silent  = "silent" // alive for gossip, but it did not answer in time
	New     = "new"    // joined while the others were being asked
)

// MatrixTunnel is what there is from one host to another.
type MatrixTunnel struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	State CellState `json:"state"`
	Cell
}

// CellState is how a directed tunnel is, in one word.
type CellState string

// From the best to the worst that can be said of a tunnel.
const (
	CellUp          CellState = "up"
	CellNone        CellState = "none"        // there should be none, and there is none
	CellUnknown     CellState = "unknown"     // the host where it begins has not told
	CellForeign     CellState = "foreign"     // a port that was made by hand leads there
	CellStarting    CellState = "starting"    // the two ends are agreeing
	CellDown        CellState = "down"        // it is made, but nothing comes back
	CellSmallOnly   CellState = "small-only"  // it is up, but packets of docker0's MTU are lost
	CellPathDown    CellState = "path-down"   // it is up, but the path through it carries nothing
	CellLost        CellState = "lost"        // what is sent this way does not arrive
	CellUnprotected CellState = "unprotected" // a loop of broadcasts
	CellWrong       CellState = "wrong"       // an address or another setting is wrong
	CellStray       CellState = "stray"       // there should be none
	CellError       CellState = "error"       // Open vSwitch could not make it
	CellMissing     CellState = "missing"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   string `json:"kind"`         // see the Kind constants
	From   string `json:"from"`         // the host whose it is, or where the tunnel begins
	To     string `json:"to,omitempty"` // where the tunnel leads
	What   string `json:"what"`
	Do     string `json:"do,omitempty"`
	Unsure bool   `json:"unsure"` // it keeps from judging, and is no drift itself
}

// Kinds of findings.
const (
	KindSilent      = "silent"      // a host does not answer
	KindFailed      = "failed"      // gossip has given a host up
	KindBlind       = "blind"       // a host can't see a part of itself
	KindWaiting     = "waiting"     // a host holds no lease
	KindCut         = "cut"         // a host has lost its subnet
	KindHost        = "host"        // a host's own drift, beside its tunnels
	KindSubnet      = "subnet"      // hosts don't agree on a subnet
	KindMTU         = "mtu"         // a host's MTU is not that of most
	KindMissing     = "missing"     // a tunnel is missing
	KindForeign     = "foreign"     // a tunnel that was made by hand takes the place of gremesh's
	KindReverse     = "reverse"     // a tunnel is missing, and the one the other way is there
	KindRemote      = "remote"      // a tunnel leads to a wrong address
	KindUnprotected = "unprotected" // a tunnel makes a loop
	KindSetting     = "setting"     // a tunnel differs otherwise
	KindStray       = "stray"       // a tunnel that should not be there
	KindError       = "error"       // Open vSwitch could not make a tunnel
	KindOneWay      = "one-way"     // packets pass one way only
	KindDown        = "down"        // packets pass neither way
	KindPath        = "path"        // a tunnel is up, and the path through it carries nothing
	KindPathMTU     = "path-mtu"    // only small packets pass
	KindStarting    = "starting"    // BFD is not up yet, or the path not probed
)

// Confirm is what two looks at the mesh have in common, some time apart: what
// was mended meanwhile, or came up, is left out, and so is what has just begun.
// The second look's hosts and tunnels stand. Who could not be judged at the
// second look could not be judged.
func Confirm(first, second FullAudit) FullAudit {
	type key struct{ kind, from, to string }
	seen := make(map[key]bool)
	for _, f := range first.Findings {
		seen[key{f.Kind, f.From, f.To}] = true
	}
	kept := second.Findings
	second.Findings = []Finding{}
	for _, f := range kept {
		if f.Unsure || seen[key{f.Kind, f.From, f.To}] {
			second.Findings = append(second.Findings, f)
		}
	}
	return second
}

// Passing reports whether something that was found may be a change under way,
// so that another look is worthwhile. A host that does not answer is not asked
// again for that alone.
func (a FullAudit) Passing() bool {
	return slices.ContainsFunc(a.Findings, func(f Finding) bool {
		return f.Kind != KindSilent && f.Kind != KindFailed && f.Kind != KindWaiting
	})
}
