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

// Forwarding is what ovs-vswitchd does with the packets of a bridge beside its
// configuration: flows and OpenFlow's flags of ports. The database knows nothing
// of either. Shared: read only.
type Forwarding struct {
	Normal bool     // a flow handles every packet as a learning switch does
	Others []string // flows of table 0 that may handle packets otherwise, sorted; at most maxFlows
	Count  int      // of those
	// Flags are the flags that stop packets, by the names of the ports that have
	// some.
	Flags map[string]PortFlags
	// Unread says why the flags could not be read; empty: they were.
	Unread string
}

const (
	maxFlows = 3   // that are kept
	maxShown = 200 // bytes of a flow in a sentence
	// flowsEvery is how often flows are read, and flagsEvery flags: they give no
	// notice of a change. Where it takes long, it is done less often.
	flowsEvery  = 2 * time.Second
	flagsEvery  = 4 * time.Second
	flowsShare  = 50 // the time between two reads is at least so many times that of one
	localFlags  = blockingFlags &^ portDown
	normalFlow  = "priority=0,actions=NORMAL"
	hiddenAbove = 65535 // Open vSwitch's own flows have a higher priority
)

var (
	normalForAll = regexp.MustCompile(`^priority=[0-9]+,actions=NORMAL$`)
	priority     = regexp.MustCompile(`^priority=([0-9]+)`)
)

// parseFlows reads the output of bridge/dump-flows (ovs-vswitchd(8)). Only table
// 0 counts: a packet gets to another table only by a flow of this one.
func parseFlows(text string) (normal bool, others []string, count int) {
	for line := range strings.Lines(text) {
		at := strings.Index(line, "priority=")
		if at < 0 {
			if at = strings.Index(line, "actions="); at < 0 {
				continue
			}
		}
		if strings.Contains(line[:at], "table_id=") {
			continue
		}
		flow := strings.TrimSpace(line[at:])
		if m := priority.FindStringSubmatch(flow); m != nil {
			if n, err := strconv.Atoi(m[1]); err != nil || n > hiddenAbove {
				continue
			}
		}
		switch {
		case normalForAll.MatchString(flow):
			normal = true
		case strings.HasSuffix(flow, "actions=NORMAL"): // for some packets
		default:
			count++
			others = append(others, flow)
		}
	}
	slices.Sort(others)
	return normal, slices.Clip(others[:min(len(others), maxFlows)]), count
}

// flows keeps the Forwarding of one bridge. It may be used from any goroutine.
type flows struct {
	db, bridge string
	wake       func()      // called when it has changed
	due        atomic.Bool // the next state reads

	mu      sync.Mutex // held while it is read
	is      *Forwarding
	version uint64 // of is
	next    time.Time
	flagsAt time.Time // when the flags are read next
}

// renew makes the next state read all. It does not block.
func (f *flows) renew() { f.due.Store(true) }

// state returns what was read last; nil: the bridge does not exist, or
// ovs-vswitchd cannot be asked.
func (f *flows) state(ctx context.Context) (*Forwarding, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due.Swap(false) {
		f.flagsAt = time.Time{}
		if f.read(ctx) { // it may be an audit that asks, and that mends nothing
			f.wake()
		}
	}
	return f.is, f.version
}

// poll reads what is due.
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
	is := &Forwarding{}
	is.Normal, is.Others, is.Count = parseFlows(text)
	if f.is != nil && now.Before(f.flagsAt) {
		is.Flags, is.Unread = f.is.Flags, f.is.Unread
		return is, nil
	}
	f.flagsAt = now.Add(flagsEvery)
	is.Flags, err = readFlags(ctx, f.db, f.bridge)
	switch _, refused := errors.AsType[openflowError](err); {
	case refused || errors.Is(err, errVersion):
		is.Unread = err.Error()
	case err != nil: // its socket comes and goes with the bridge
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

// blocking returns the flags that stop packets. That the bridge's own device is
// down is observed, and corrected, in the kernel.
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
	return a.Normal == b.Normal && a.Count == b.Count && slices.Equal(a.Others, b.Others) && maps.Equal(a.Flags, b.Flags) && a.Unread == b.Unread
}

// String names the flags as ovs-ofctl's mod-port sets them: "no-receive".
func (f PortFlags) String() string { return strings.Join(f.actions("no-"), " ") }

// actions are the words of ovs-ofctl's mod-port for flags, with a prefix for
// those that are negations.
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
