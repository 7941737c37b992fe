package mesh

import (
	"fmt"
	"slices"
	"time"
)

// FullAudit is the matrix of the directed tunnels of a mesh, with its findings,
// as printed by `gremesh audit --mesh`.
type FullAudit struct {
	From   string       `json:"from"` // the host that asked
	Time   time.Time    `json:"time"`
	Hosts  []MatrixHost `json:"hosts"`   // sorted by underlay address
	Wanted int          `json:"wanted"`  // number of tunnels that should exist
	Up     int          `json:"up"`      // number of tunnels that are correct and carry packets
	ByHand int          `json:"by_hand"` // number of wanted tunnels that a manually created one replaces
	// Probes of all paths measured these from docker0 to docker0, in seconds;
	// 0: no result.
	LeastRoundTrip float64 `json:"least_round_trip_seconds"`
	MostRoundTrip  float64 `json:"most_round_trip_seconds"`
	Loss           float64 `json:"loss"` // of the last probes of all paths, from 0 to 1

	Tunnels  []MatrixTunnel `json:"tunnels"`  // n(n-1), first those from the first host; with more than 100 hosts only those that are not up
	Notes    []string       `json:"notes"`    // facts that are unusual but not faults: pairs that had to use another tunnel type
	Findings []Finding      `json:"findings"` // sorted like the tunnels, after the findings about hosts; empty: clean
}

// MatrixHost is one host, as it reported itself if it answered.
type MatrixHost struct {
	Row
	State string `json:"state"` // answers, silent, failed or new

	at     int  // index in the matrix
	shared bool // another host in the matrix has the same name
}

// label returns the host's name for use in findings. If two hosts have that
// name, the first characters of its ID follow.
func (h *MatrixHost) label() string {
	if h.shared {
		return fmt.Sprintf("%s (%.8s)", h.Name, h.ID)
	}
	return h.Name
}

// word returns the name of the host for use in a command. If two hosts have
// that name, it returns the first characters of the ID instead.
func (h *MatrixHost) word() string {
	if h.shared {
		return h.ID.String()[:8]
	}
	return h.Name
}

// counts reports whether the host should have tunnels to the other hosts that
// count. It must not be failed, and must hold a subnet that no older lease
// overrides. Status uses the same rule.
func (h *MatrixHost) counts() bool { return h.State != string(Failed) && h.Subnet.IsValid() && !h.Cut }

// States of a host in the matrix.
const (
	Answers = "answers"
	Silent  = "silent" // gossip reports it alive, but it did not answer in time
	New     = "new"    // it joined while the others were being asked
)

// MatrixTunnel is the directed tunnel from one host to another.
type MatrixTunnel struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	State CellState `json:"state"`
	Cell
}

// CellState is the state of a directed tunnel in one word.
type CellState string

// The states of a tunnel, from the best to the worst.
const (
	CellUp          CellState = "up"
	CellNone        CellState = "none"        // no tunnel should exist, and none exists
	CellUnknown     CellState = "unknown"     // the host at its beginning has not reported it
	CellForeign     CellState = "foreign"     // a manually created port is in its place
	CellStarting    CellState = "starting"    // BFD is not up yet, or the path is being probed
	CellDown        CellState = "down"        // the port exists, but receives nothing
	CellSmallOnly   CellState = "small-only"  // the tunnel is up, but packets of docker0's MTU are lost
	CellPathDown    CellState = "path-down"   // the tunnel is up, but the path through it carries nothing
	CellLost        CellState = "lost"        // packets in this direction do not arrive
	CellUnprotected CellState = "unprotected" // the port is not protected, so broadcasts can loop
	CellWrong       CellState = "wrong"       // an address or another setting is wrong
	CellStray       CellState = "stray"       // no tunnel should exist
	CellError       CellState = "error"       // Open vSwitch could not create it
	CellMissing     CellState = "missing"
)

// Finding is one fault.
type Finding struct {
	Kind   string `json:"kind"`         // see the Kind constants
	From   string `json:"from"`         // the host that has the fault, or the host at the beginning of the tunnel
	To     string `json:"to,omitempty"` // the host that the tunnel leads to
	What   string `json:"what"`
	Do     string `json:"do,omitempty"`
	Unsure bool   `json:"unsure"` // the finding prevents a check, and is no drift itself
}

// Kinds of findings.
const (
	KindSilent      = "silent"      // a host does not answer
	KindFailed      = "failed"      // gossip reports a host as failed
	KindBlind       = "blind"       // a host cannot observe a part of itself
	KindWaiting     = "waiting"     // a host holds no lease
	KindCut         = "cut"         // a host has lost its subnet
	KindHost        = "host"        // a host has drift that is not about its tunnels
	KindSubnet      = "subnet"      // hosts do not agree on a subnet
	KindMTU         = "mtu"         // a host does not have the MTU that most hosts have
	KindMissing     = "missing"     // a tunnel is missing
	KindForeign     = "foreign"     // a manually created tunnel is in the place of a gremesh tunnel
	KindReverse     = "reverse"     // a tunnel is missing, but the tunnel in the other direction exists
	KindRemote      = "remote"      // a tunnel leads to a wrong address
	KindUnprotected = "unprotected" // a tunnel creates a loop
	KindSetting     = "setting"     // another setting of a tunnel is wrong
	KindStray       = "stray"       // a tunnel exists that should not
	KindError       = "error"       // Open vSwitch could not create a tunnel
	KindOneWay      = "one-way"     // packets pass in one direction only
	KindDown        = "down"        // packets pass in neither direction
	KindPath        = "path"        // a tunnel is up, but the path through it carries nothing
	KindPathMTU     = "path-mtu"    // only small packets pass
	KindStarting    = "starting"    // BFD is not up yet, or the path has not been probed yet
)

// Confirm returns the findings that two audits of the mesh, some time apart,
// have in common. It drops faults that were corrected between the two audits,
// and faults that have just begun. Hosts and tunnels are those of the second
// audit. Confirm keeps every Unsure finding of the second audit, even if the
// first did not have it.
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

// Passing reports whether a finding may be about a change in progress, so that
// a second audit is worthwhile. A silent, failed or waiting host alone is no
// reason for one.
func (a FullAudit) Passing() bool {
	return slices.ContainsFunc(a.Findings, func(f Finding) bool {
		return f.Kind != KindSilent && f.Kind != KindFailed && f.Kind != KindWaiting
	})
}
