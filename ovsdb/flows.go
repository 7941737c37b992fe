package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Forwarding is the state of a bridge's packet handling that is not in the
// database: flows, and OpenFlow flags of ports. It is shared and read only.
type Forwarding struct {
	Normal bool     // a flow forwards every packet like a learning switch
	Others []string // flows of table 0 that may handle packets differently, sorted; at most maxFlows
	Count  int      // number of such flows, including those that are not in Others
	// Bindings are gremesh's own flows of table 0.
	Bindings map[Binding]bool
	// Override is a flow that forwards packets before Bindings are asked. It is
	// empty if there is none, or if there are no Bindings.
	Override string
	// Flags are the flags that stop packets, by port name. Ports without such
	// flags are not in the map.
	Flags map[string]PortFlags
	// Unread states why the flags could not be read. It is empty if they were
	// read.
	Unread string
}

const (
	maxFlows = 3   // limit of Forwarding.Others
	maxShown = 200 // bytes of a flow in a message
	// flowsEvery is the time between two reads of the flows, and flagsEvery
	// that of the flags. Both must be polled, because they cause no events. If
	// a read takes long, the time is longer; see flowsShare.
	flowsEvery  = 2 * time.Second
	flagsEvery  = 4 * time.Second
	flowsShare  = 100 // the time between two reads is at least this many times the duration of a read
	localFlags  = blockingFlags &^ portDown
	normalFlow  = "priority=0,actions=NORMAL"
	hiddenAbove = 65535 // flows with a higher priority are internal flows of Open vSwitch
)

var (
	normalForAll = regexp.MustCompile(`^priority=[0-9]+,actions=NORMAL$`)
	priority     = regexp.MustCompile(`^priority=([0-9]+)`)
)

// parseFlows reads the output of bridge/dump-flows (ovs-vswitchd(8)). Only
// table 0 counts, because a packet reaches another table only by a flow of
// table 0. The result has no Flags.
func parseFlows(text string) *Forwarding {
	f := &Forwarding{Bindings: make(map[Binding]bool)}
	for line := range strings.Lines(text) {
		statistics, rest, _ := strings.Cut(line, "n_bytes=")
		_, flow, ok := strings.Cut(rest, ", ")
		if !ok || strings.Contains(statistics, "table_id=") {
			continue
		}
		flow = strings.TrimSpace(flow)
		m := priority.FindStringSubmatch(flow)
		if m == nil { // the default of ovs-ofctl(8) is not shown
			flow = "priority=32768," + strings.TrimPrefix(flow, ",")
			m = priority.FindStringSubmatch(flow)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n > hiddenAbove {
			continue
		}
		if b, ours := parseBinding(flow); ours {
			f.Bindings[b] = true
			continue
		}
		normal := strings.HasSuffix(flow, "actions=NORMAL") // forwards some packets, or all, like a learning switch
		switch {
		case !normal:
			f.Count++
			f.Others = append(f.Others, flow)
		case normalForAll.MatchString(flow):
			f.Normal = true
		}
		if normal && n >= dropsPriority && (f.Override == "" || flow < f.Override) {
			f.Override = flow
		}
	}
	if len(f.Bindings) == 0 {
		f.Override = ""
	}
	slices.Sort(f.Others)
	f.Others = slices.Clone(f.Others[:min(len(f.Others), maxFlows)])
	return f
}

// flows maintains the Forwarding of one bridge. It may be used from any
// goroutine.
type flows struct {
	db, bridge string
	wake       func()      // called when is has changed
	due        atomic.Bool // the next call of state reads

	mu      sync.Mutex // held while is is read
	is      *Forwarding
	version uint64 // incremented when is changes
	next    time.Time
	flagsAt time.Time // when the flags are read next
}

// renew makes the next call of state read flows and flags. It does not block.
func (f *flows) renew() { f.due.Store(true) }

// state returns the last Forwarding that was read, and its version. It returns
// nil if the bridge does not exist or ovs-vswitchd cannot be asked.
func (f *flows) state(ctx context.Context) (*Forwarding, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due.Swap(false) {
		f.flagsAt = time.Time{}
		if f.read(ctx) { // wake the loop too: the caller may be an audit, which corrects nothing
			f.wake()
		}
	}
	return f.is, f.version
}

// poll reads the flows, and the flags, if they are due.
func (f *flows) poll(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.next) {
		return
	}
	if f.read(ctx) {
		f.wake()
	}
}

func (f *flows) read(ctx context.Context) (changed bool) {
	began := time.Now()
	defer func() { f.next = time.Now().Add(max(flowsEvery/2, flowsShare*time.Since(began))) }()
	is, err := f.ask(ctx, began)
	if err != nil {
		is = nil
	}
	if sameForwarding(is, f.is) {
		return false
	}
	f.is = is
	f.version++
	return true
}

func (f *flows) ask(ctx context.Context, now time.Time) (*Forwarding, error) {
	ctl, err := reach(ctx, f.db)
	if err != nil {
		return nil, err
	}
	defer ctl.close()
	text, err := ctl.call(ctx, "bridge/dump-flows", f.bridge)
	if err != nil {
		return nil, err
	}
	is := parseFlows(text)
	if f.is != nil && now.Before(f.flagsAt) {
		is.Flags, is.Unread = f.is.Flags, f.is.Unread
		return is, nil
	}
	f.flagsAt = now.Add(flagsEvery)
	is.Flags, err = readFlags(ctx, f.db, f.bridge)
	switch _, refused := errors.AsType[openflowError](err); {
	case refused || errors.Is(err, errVersion):
		is.Unread = err.Error()
	case err != nil: // the socket is created and deleted with the bridge
		f.flagsAt = time.Time{}
		if f.is != nil {
			is.Flags, is.Unread = f.is.Flags, f.is.Unread
		}
	}
	return is, nil
}

func readFlags(ctx context.Context, db, bridge string) (map[string]PortFlags, error) {
	o, err := dialOpenFlow(ctx, db, bridge)
	if err != nil {
		return nil, err
	}
	defer o.close()
	ports, err := o.ports()
	if err != nil {
		return nil, fmt.Errorf("read the flags of the ports of %s: %w", bridge, err)
	}
	flags := make(map[string]PortFlags)
	for _, p := range ports {
		if b := p.blocking(); b != 0 {
			flags[p.name] = b
		}
	}
	return flags, nil
}

// blocking returns the flags that stop packets. It ignores the flag down of the
// bridge's own port, because the kernel part observes and corrects that.
func (p ofPort) blocking() PortFlags {
	if p.number == ofPortLocal {
		return p.config & localFlags
	}
	return p.config & blockingFlags
}

func sameForwarding(a, b *Forwarding) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Normal == b.Normal && a.Count == b.Count && a.Override == b.Override && slices.Equal(a.Others, b.Others) && maps.Equal(a.Flags, b.Flags) && a.Unread == b.Unread &&
		maps.Equal(a.Bindings, b.Bindings)
}

// String returns the flags as words of ovs-ofctl mod-port: "no-receive".
func (f PortFlags) String() string { return strings.Join(f.actions("no-"), " ") }

// actions returns the words of ovs-ofctl mod-port for the flags. If no is
// empty, it returns the words that clear the flags; otherwise no is the prefix
// of the words that set them.
func (f PortFlags) actions(no string) []string {
	var all []string
	for _, flag := range []struct {
		bit      PortFlags
		name     string
		positive string
	}{{portDown, "down", "up"}, {portNoReceive, no + "receive", "receive"}, {portNoForward, no + "forward", "forward"}, {portNoFlood, no + "flood", "flood"}} {
		switch {
		case f&flag.bit == 0:
		case no == "":
			all = append(all, flag.positive)
		default:
			all = append(all, flag.name)
		}
	}
	return all
}
