package filter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Change is a difference and the steps that correct it, in order.
type Change struct {
	drift.Drift
	steps []step
	// table is the listing of our table after the change, if the change
	// concerns only elements of its sets. It is nil if the table must be read
	// again.
	table  []string
	family knftables.Family // the family of that table
}

// step is one action on the packet filter. Its text is the equivalent command.
type step interface {
	fmt.Stringer
	apply(ctx context.Context, on *Host) error
}

func change(key reconcile.Key, is, should string, steps ...step) Change {
	c := Change{Drift: drift.Of(key, is, should), steps: steps}
	for _, s := range steps {
		c.Commands = append(c.Commands, s.String())
	}
	return c
}

// Diff returns the changes that turn have into want. For the zero Rules, they
// remove everything that belongs to gremesh.
func Diff(want Rules, have State) []Change {
	var all []Change
	for _, t := range ourTables(want.within(have)) {
		if !have.lacks(t) {
			all = append(all, diffTable(t, *have.ours(t.family))...)
		}
	}
	for _, f := range have.Filters {
		all = append(all, diffUserChain(want, f)...)
	}
	return all
}

// Opening returns the part of Diff that lets more traffic through: elements
// that are missing in existing sets. The caller applies it before it adds a
// tunnel, so that the first packet finds the elements.
func Opening(want Rules, have State) []Change {
	var all []Change
	for _, t := range ourTables(want.within(have)) {
		listing := *have.ours(t.family)
		is := t.foundSets(listing)
		t.sets = slices.DeleteFunc(slices.Clone(t.sets), func(s set) bool { _, exists := is.set(s.name); return !exists })
		if steps := t.opening(is); len(steps) > 0 && !have.lacks(t) {
			var more []string
			for _, s := range t.sets {
				there, _ := is.set(s.name)
				more = append(more, missing(s.elements, there.elements)...)
			}
			all = append(all, change(t.key(), "incomplete", element+strings.Join(more, "; "+element), steps...))
		}
	}
	return all
}

// Listed returns the state that Observe returns if all tables are as want has
// them and there is no iptables.
func Listed(want Rules) State {
	var have State
	for _, t := range ourTables(want) {
		*have.ours(t.family) = t.listing()
	}
	return have
}

// diffTable compares the listing of a table with want. If the table is missing,
// or should not exist, the change describes the table's purpose. Otherwise it
// names the lines that differ.
func diffTable(want table, have []string) []Change {
	told := purposes[want.family]
	should := want.listing()
	if slices.Equal(have, should) {
		return nil
	}
	acts := want.steps(have)
	switch {
	case have == nil:
		return []Change{change(want.key(), "", told(should), acts...)}
	case should == nil:
		return []Change{change(want.key(), told(have), "", acts...)}
	}
	is, than := strings.Join(missing(have, should), "; "), strings.Join(missing(should, have), "; ")
	if is+than == "" {
		is, than = "in another order", "in ours"
	}
	c := change(want.key(), or(is, "incomplete"), or(than, "without that"), acts...)
	if onlyElements(have, should) {
		c.table, c.family = should, want.family
	}
	return []Change{c}
}

// onlyElements reports whether two listings differ only in elements of sets.
func onlyElements(a, b []string) bool {
	i, j := 0, 0
	for {
		for i < len(a) && strings.HasPrefix(a[i], element) {
			i++
		}
		for j < len(b) && strings.HasPrefix(b[j], element) {
			j++
		}
		if i == len(a) || j == len(b) || a[i] != b[j] {
			return i == len(a) && j == len(b)
		}
		i, j = i+1, j+1
	}
}

// purposes describe the purpose of each table for people.
var purposes = map[knftables.Family]func(listing []string) string{
	knftables.IPv4Family: func(listing []string) string { return "not to masquerade " + destinations(listing) },
	knftables.BridgeFamily: func([]string) string {
		return "to keep the bridge's own broadcasts, and foreign sources, out of the tunnels"
	},
	knftables.InetFamily: func([]string) string {
		return "to keep containers from the tunnels, gossip and metrics of hosts, and from foreign sources"
	},
}

func destinations(listing []string) string {
	var all []string
	for _, p := range (State{Table: listing}).NonMasquerade() {
		all = append(all, network(p))
	}
	return or(strings.Join(all, ", "), "nothing")
}

// missing returns the lines that others lack. It first skips the common
// beginning and end, because most of the lines are there.
func missing(lines, others []string) []string {
	from := 0
	for from < min(len(lines), len(others)) && lines[from] == others[from] {
		from++
	}
	end := 0
	for end < min(len(lines), len(others))-from && lines[len(lines)-1-end] == others[len(others)-1-end] {
		end++
	}
	if some := lines[from : len(lines)-end]; len(some) <= few {
		return slices.DeleteFunc(slices.Clone(some), func(l string) bool { return slices.Contains(others, l) })
	}
	there := make(map[string]bool, len(others))
	for _, l := range others {
		there[l] = true
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return there[l] })
}

// few is the number of lines up to which missing searches without a map.
const few = 16

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}
