package ovsdb

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Binding is one of the two flows that bind the MAC address of a peer's docker0
// to the tunnel of this peer. The first flow forwards frames from this address
// that arrive in tunnel packets of the peer. The second flow has a lower
// priority, and drops all other frames from this address. So no member of the
// mesh can send in the name of another one.
//
// The flows match the source of the tunnel packet and not the number of a port.
// They stay right when Open vSwitch gives a port another number. When
// ovs-vswitchd stops, the flows are lost, and every frame is forwarded until
// they exist again.
type Binding struct {
	MAC  MAC
	From netip.Addr // source of the tunnel packet; zero: the flow that drops
}

// Priorities of the two flows. bridge/dump-flows shows no cookie, so they must be
// numbers that nobody else chooses: 0x6772 is "gr". A flow that an operator adds
// has priority 32768 unless the operator chooses another one (ovs-ofctl(8)), so
// it decides.
const (
	forwardsPriority = 0x6772
	dropsPriority    = forwardsPriority - 1
)

// bindingsOf returns both flows for a tunnel.
func bindingsOf(t Tunnel) [2]Binding { return [2]Binding{{MAC: t.MAC, From: t.Remote}, {MAC: t.MAC}} }

// match returns the priority and the match of the flow, in the syntax of
// ovs-ofctl(8).
func (b Binding) match() string {
	switch {
	case !b.From.IsValid():
		return fmt.Sprintf("priority=%d,dl_src=%s", dropsPriority, b.MAC)
	case b.From.Is4():
		return fmt.Sprintf("priority=%d,tun_src=%s,dl_src=%s", forwardsPriority, b.From, b.MAC)
	}
	return fmt.Sprintf("priority=%d,tun_ipv6_src=%s,dl_src=%s", forwardsPriority, b.From, b.MAC)
}

func (b Binding) action() string {
	if b.From.IsValid() {
		return actionNormal
	}
	return actionDrop
}

const (
	actionNormal = "NORMAL"
	actionDrop   = "drop"
)

// parseBinding parses a flow without its statistics:
// "priority=26482,tun_src=192.0.2.2,dl_src=02:42:ac:11:2b:01,actions=NORMAL". ok
// is false for a flow that is not gremesh's.
func parseBinding(flow string) (b Binding, ok bool) {
	match, action, _ := strings.Cut(flow, ",actions=")
	priority, match, _ := strings.Cut(match, ",")
	for match != "" {
		var field, value string
		field, match, _ = strings.Cut(match, ",")
		field, value, _ = strings.Cut(field, "=")
		var err error
		switch field {
		case "dl_src":
			if b.MAC, ok = parseMAC(value); !ok {
				return Binding{}, false
			}
		case "tun_src", "tun_ipv6_src":
			if b.From, err = netip.ParseAddr(value); err != nil {
				return Binding{}, false
			}
		default:
			return Binding{}, false
		}
	}
	want := fmt.Sprintf("priority=%d", dropsPriority)
	if b.From.IsValid() {
		want = fmt.Sprintf("priority=%d", forwardsPriority)
	}
	return b, b.MAC.pinned() && priority == want && action == b.action()
}

// bound returns the bindings of the configured bridge. known is false if they
// are not known. A bridge that does not exist yet has none.
func (a State) bound() (bindings map[Binding]bool, known bool) {
	switch {
	case !a.Bridge.Exists:
		return nil, a.Down == "" && a.Static != nil
	case a.Forwarding == nil || a.Forwarding.Unread != "":
		return nil, false
	}
	return a.Forwarding.Bindings, true
}

// isBound reports whether both flows for a tunnel exist, or must not be made.
func (a State) isBound(t Tunnel) bool {
	bound, known := a.bound()
	flows := bindingsOf(t)
	return !known || !a.mayBind() || bound[flows[0]] && bound[flows[1]]
}

// mayBind reports whether gremesh may add flows to the bridge. If a controller
// or flows of other programs decide which packets pass, it must not: a flow
// that forwards would bypass them.
func (a State) mayBind() bool {
	f := a.Forwarding
	return !a.Bridge.flushes() && (a.Bridge.Ours || f == nil || f.Count == 0)
}

// diffBindings returns the changes of the flows that bind MAC addresses to
// tunnels. As in diffFDB, a port that another program made counts as the tunnel
// if it equals it, and made contains the names of the tunnels that the same Diff
// creates.
func diffBindings(want Spec, have State, names portIndex, ports map[string]Port, made map[string]bool) []Change {
	bound, known := have.bound()
	if !known {
		return nil
	}
	old := make(map[MAC][]Binding) // flows that are not desired
	for b := range bound {
		old[b.MAC] = append(old[b.MAC], b)
	}
	if !have.mayBind() {
		want.Tunnels = nil
	}
	var changes []Change
	for _, t := range want.Tunnels {
		if t.MAC == (MAC{}) {
			continue
		}
		p, leads := ports[t.Name]
		if !leads || p.Bridge != want.Bridge {
			p = names.foreignTunnel(want.Bridge, t)
		}
		if !made[t.Name] && p.OfPort <= 0 {
			continue
		}
		flows := bindingsOf(t)
		s := steer{bridge: want.Bridge, unbind: slices.DeleteFunc(old[t.MAC], func(b Binding) bool { return slices.Contains(flows[:], b) })}
		delete(old, t.MAC)
		for _, b := range flows {
			if !bound[b] {
				s.bind = append(s.bind, b)
			}
		}
		if len(s.bind)+len(s.unbind) > 0 {
			changes = append(changes, bindingChange(s, t, "only from "+t.Remote.String()))
		}
	}
	for mac, flows := range old {
		changes = append(changes, bindingChange(steer{bridge: have.Bridge.Name, unbind: flows}, Tunnel{MAC: mac}, ""))
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Object, b.Object) })
	return changes
}

func bindingChange(s steer, t Tunnel, should string) Change {
	var is []string
	var commands []string
	slices.SortFunc(s.unbind, func(a, b Binding) int { return a.From.Compare(b.From) }) // the flow that drops comes first
	for _, b := range s.unbind {
		is = append(is, b.match())
		commands = append(commands, "ovs-ofctl "+arguments("--strict", "del-flows", s.bridge, b.match()))
	}
	for _, b := range s.bind {
		commands = append(commands, "ovs-ofctl "+arguments("add-flow", s.bridge, fmt.Sprintf("cookie=%#x,%s,actions=%s", flowCookie, b.match(), b.action())))
	}
	if len(s.bind) == 1 && len(s.unbind) == 0 {
		is = []string{"incomplete"}
	}
	d := drift.Of(key(kindFlows, s.bridge, t.MAC.String()), strings.Join(is, " and "), should, commands...)
	return Change{Drift: about(t.Peer, d), steer: &s}
}

// kindFlows is the kind of object of a Change of bindings.
const kindFlows = "flows"
