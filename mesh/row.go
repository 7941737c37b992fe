package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/filter"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/reconcile"
	"github.com/gremesh/gremesh/ovsdb"
)

// Row is a host's report about itself and about the tunnels that begin there. A
// host sends it when another host asks. It is the host's row in the matrix of
// the mesh.
type Row struct {
	ID       lease.ID     `cbor:"1,keyasint" json:"id"`
	Name     string       `cbor:"2,keyasint" json:"name"`
	Underlay netip.Addr   `cbor:"3,keyasint" json:"underlay"`
	Subnet   netip.Prefix `cbor:"4,keyasint,omitzero" json:"subnet"`              // zero while the host holds no lease
	Bip      netip.Prefix `cbor:"5,keyasint,omitzero" json:"bip"`                 // zero while the host holds no lease
	MTU      int          `cbor:"6,keyasint" json:"mtu"`                          // of docker0, in bytes
	Version  string       `cbor:"7,keyasint,omitempty" json:"version"`            // of the agent
	Uptime   int          `cbor:"8,keyasint" json:"uptime"`                       // of the agent, in seconds
	Cut      bool         `cbor:"9,keyasint,omitempty" json:"cut"`                // excluded from the mesh because another host has its subnet
	Waiting  string       `cbor:"10,keyasint,omitempty" json:"waiting,omitempty"` // the reason why it holds no lease
	Drift    int          `cbor:"11,keyasint,omitempty" json:"drift"`             // number of differences, without those of tunnels
	Problems int          `cbor:"12,keyasint,omitempty" json:"problems"`          // number of problems in its status
	Blind    string       `cbor:"13,keyasint,omitempty" json:"blind,omitempty"`   // the reason why it cannot observe its Open vSwitch; then there are no cells
	Unseen   []string     `cbor:"14,keyasint,omitempty" json:"unseen,omitempty"`  // why it could not check other components
	Type     string       `cbor:"16,keyasint,omitempty" json:"type,omitempty"`    // of tunnels, except for pairs that had to change to another type
	Cells    []Cell       `cbor:"15,keyasint,omitempty" json:"cells,omitempty"`   // sorted by port
}

// Cell is one tunnel that a host wants or has.
type Cell struct {
	Port       string        `cbor:"1,keyasint" json:"port"`
	Peer       lease.ID      `cbor:"2,keyasint,omitzero" json:"peer"` // the peer that it leads to; zero for another program's port
	Name       string        `cbor:"3,keyasint,omitempty" json:"name"`
	Remote     netip.Addr    `cbor:"4,keyasint,omitzero" json:"remote"`            // as configured; if not configured, as desired
	Local      netip.Addr    `cbor:"5,keyasint,omitzero" json:"local"`             // as configured; if not configured, as desired
	Type       string        `cbor:"6,keyasint,omitempty" json:"type"`             // gre, vxlan or geneve
	Key        uint32        `cbor:"7,keyasint,omitempty" json:"key"`              // 0: none
	Subnet     netip.Prefix  `cbor:"8,keyasint,omitzero" json:"subnet"`            // the peer's subnet, as this host knows it
	Desired    bool          `cbor:"9,keyasint,omitempty" json:"desired"`          // the tunnel should exist
	Configured bool          `cbor:"10,keyasint,omitempty" json:"configured"`      // the port exists
	Foreign    bool          `cbor:"11,keyasint,omitempty" json:"foreign"`         // another program created the port
	Protected  bool          `cbor:"12,keyasint,omitempty" json:"protected"`       // Port column protected
	BFD        string        `cbor:"13,keyasint,omitempty" json:"bfd"`             // Interface bfd_status:state; empty: not enabled
	RemoteBFD  string        `cbor:"14,keyasint,omitempty" json:"remote_bfd"`      // Interface bfd_status:remote_state
	Error      string        `cbor:"15,keyasint,omitempty" json:"error,omitempty"` // of Open vSwitch, or the conflict that prevents the tunnel
	Do         string        `cbor:"16,keyasint,omitempty" json:"do,omitempty"`    // how to correct the error
	Drift      []drift.Drift `cbor:"17,keyasint,omitempty" json:"drift,omitempty"` // from this host's desired state
	Path       string        `cbor:"18,keyasint,omitempty" json:"path,omitempty"`  // see the Path constants; empty: the host does not probe
	RoundTrip  float64       `cbor:"19,keyasint,omitempty" json:"round_trip_seconds,omitempty"`
	Loss       float64       `cbor:"20,keyasint,omitempty" json:"loss,omitempty"` // of the last probes, from 0 to 1
}

// Limits of a row, so that no host can make another host use much memory.
const (
	maxCells  = 1 << 14
	maxText   = 500 // bytes
	maxDrifts = 16  // of a cell, which has fewer columns
)

// rowPatience must be long enough for a pass in progress, Open vSwitch, the
// kernel and Docker together. On a busy machine each of them takes seconds.
const rowPatience = 8 * time.Second

// Row observes this host again and returns its row. It takes at most 8 s, and
// no longer than ctx. A component that does not answer in that time, or that a
// pass is still changing, is listed in Unseen.
func (l *Loop) Row(ctx context.Context) Row {
	ctx, cancel := context.WithTimeout(ctx, rowPatience)
	defer cancel()
	view, last := l.cfg.Membership.View(), l.last.Load()
	self := view.Self
	mtu, _ := l.cfg.MTU(view, last.keep)
	row := Row{
		ID: self.ID, Name: self.Name, Underlay: self.Underlay, Subnet: self.Subnet, MTU: mtu,
		Version: text(l.cfg.Version), Uptime: int(time.Since(l.started).Seconds()), Cut: self.Cut,
		Waiting: text(view.Waiting), Type: l.cfg.in(view).Tunnel.Type, Problems: len(view.Problems) + len(last.problems),
	}
	have, err := l.cfg.Switch.Observe(ctx)
	var want Desired
	if desired, _ := l.plan(view, last.keep, have); desired != nil {
		want, row.Bip = *desired, desired.Docker.Bip
	}
	switch {
	case err != nil:
		row.Blind = text(err.Error())
	case have.Down != "":
		row.Blind = text(have.Down)
	default:
		row.Cells, row.Drift = cells(want.Switch, have)
		l.addPaths(row.Cells)
	}
	if self.Subnet.IsValid() { // without a lease, no state is desired
		row.judge(ctx, l, want)
	}
	return row
}

var errBusy = errors.New("a pass was under way")

// judge counts the drift of Docker, the packet filter and the kernel. It holds
// the lock of the Loop, because only one caller at a time may observe them.
func (r *Row) judge(ctx context.Context, l *Loop, want Desired) {
	unseen := func(err error) { r.Unseen = append(r.Unseen, text(err.Error())) }
	for !l.busy.TryLock() {
		if !wait(ctx, meshQuiet) {
			unseen(errBusy)
			return
		}
	}
	defer l.busy.Unlock()
	if have, err := l.cfg.Docker.Observe(ctx); err != nil {
		unseen(err)
	} else {
		r.Drift += len(dockerDrift(want.Docker, have))
	}
	rules := want.NAT
	if l.here.seen && l.here.looked { // the rules depend on what a pass has observed
		rules = l.guarded(rules)
	}
	if have, err := l.cfg.NAT.Observe(ctx); err != nil {
		unseen(err)
	} else {
		r.Drift += len(filter.Diff(rules, have))
	}
	if have, err := l.cfg.Kernel.Observe(ctx); err != nil {
		unseen(err)
	} else {
		r.Drift += len(hostDrift(want.Host, have)) + len(bridge.Overlaps(l.cfg.Space.Prefix, have.Intruders))
	}
}

// cells returns the tunnels that a host wants or has, and other programs'
// tunnels on the same bridge. The result others is the number of differences of
// the switch that are not about a tunnel.
func cells(want ovsdb.Spec, have ovsdb.State) (list []Cell, others int) {
	byPort := make(map[string]*Cell)
	for _, t := range want.Tunnels {
		c := cellOf(t)
		c.Desired = true
		byPort[t.Name] = &c
	}
	for _, p := range have.Ports {
		if p.Ours {
			c := cellOf(p.Tunnel)
			if wanted := byPort[p.Name]; wanted != nil {
				c.Peer, c.Desired = wanted.Peer, true // if the port leads elsewhere, its drift shows that
			}
			c.Configured, c.Protected = true, p.Protected
			c.BFD, c.RemoteBFD, c.Error = text(p.BFD.State), text(p.BFD.RemoteState), text(p.Error)
			if p.OfPort <= 0 {
				c.Error = cmp.Or(c.Error, "ovs-vswitchd has not set it up")
			}
			byPort[p.Name] = &c
		}
	}
	var changes []ovsdb.Change
	if want.Bridge != "" { // without a lease no bridge is desired, and nothing is drift
		changes = ovsdb.Diff(want, have)
	}
	for _, c := range changes {
		cell := byPort[portOf(c.Key)]
		if cell == nil {
			others++
			continue
		}
		cell.Drift = append(cell.Drift, drift.Drift{
			Object: text(c.Object), Is: text(c.Is), Should: text(c.Should), Commands: texts(c.Commands),
		})
	}
	for _, c := range ovsdb.Conflicts(want, have) {
		if cell := byPort[portOf(c.Key)]; cell != nil {
			cell.Error, cell.Do = text(c.What), text(c.Do)
		} else {
			others++
		}
	}
	for _, c := range byPort {
		list = append(list, *c)
	}
	for _, p := range have.Ports {
		if !p.Ours && p.Bridge == have.Bridge.Name && p.Remote.IsValid() {
			c := cellOf(p.Tunnel)
			c.Foreign, c.Configured, c.Protected, c.BFD = true, true, p.Protected, text(p.BFD.State)
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), compareBool(a.Foreign, b.Foreign))
	})
	return list, others
}

func cellOf(t ovsdb.Tunnel) Cell {
	id, _ := lease.ParseID(t.Peer.ID) // an invalid ID becomes zero: an operator may have written anything there
	return Cell{
		Port: text(t.Name), Peer: id, Name: text(t.Peer.Name), Remote: t.Remote, Local: t.Local,
		Type: text(t.Type), Key: t.Key, Subnet: t.Peer.Subnet,
	}
}

// portOf returns the port that a difference is about: for "interface gre43
// options:remote_ip" it is gre43. It is empty for a difference of the bridge.
func portOf(object reconcile.Key) string {
	if object.Kind != "port" && object.Kind != "interface" {
		return ""
	}
	return object.Name
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// text makes text from other programs or hosts safe for one line of a terminal.
// It replaces everything but printable ASCII by spaces, and truncates to
// maxText bytes.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}

func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}

// Validate returns an error if a row from another host is invalid.
func (r Row) Validate() error {
	switch {
	case r.ID.IsZero():
		return errors.New("row: it has no host")
	case !lease.ValidName(r.Name):
		return fmt.Errorf("row: its name %.80q is none", r.Name)
	case len(r.Cells) > maxCells || len(r.Unseen) > maxDrifts:
		return fmt.Errorf("row of %s: it has %d cells and %d complaints", r.Name, len(r.Cells), len(r.Unseen))
	case r.Drift < 0 || r.Problems < 0 || r.MTU < 0 || r.Uptime < 0:
		return fmt.Errorf("row of %s: a count is negative", r.Name)
	case r.Underlay.Zone() != "":
		return fmt.Errorf("row of %s: its address has a zone", r.Name)
	}
	words := append([]string{r.Version, r.Type, r.Waiting, r.Blind}, r.Unseen...)
	for _, c := range r.Cells {
		if len(c.Drift) > maxDrifts || c.Remote.Zone()+c.Local.Zone() != "" {
			return fmt.Errorf("row of %s: a cell that no host has", r.Name)
		}
		if !(c.RoundTrip >= 0 && c.RoundTrip <= maxRoundTrip) || !(c.Loss >= 0 && c.Loss <= 1) { // NaN fails both comparisons
			return fmt.Errorf("row of %s: a cell has round trip %v and loss %v", r.Name, c.RoundTrip, c.Loss)
		}
		words = append(words, c.Port, c.Name, c.Type, c.BFD, c.RemoteBFD, c.Error, c.Do, c.Path)
		for _, d := range c.Drift {
			if len(d.Commands) > maxDrifts {
				return fmt.Errorf("row of %s: a difference with %d commands", r.Name, len(d.Commands))
			}
			words = append(append(words, d.Object, d.Is, d.Should), d.Commands...)
		}
	}
	for _, w := range words {
		if w != text(w) {
			return fmt.Errorf("row of %s: %.80q is no text", r.Name, w)
		}
	}
	return nil
}
