package masq

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/reconcile"
)

// Change is a difference and the steps that mend it, in order.
type Change struct {
	drift.Drift
	steps  []step
	table  []string         // our table's listing then, where none but elements of its sets are changed; nil: it is to be looked at
	family knftables.Family // of that table
}

// step is one act on the packet filter; its text is the command that does the
// same.
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

// Diff returns what makes have into want. For the zero Rules that is the
// removal of what is ours.
func Diff(want Rules, have Actual) []Change {
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

// Opening returns the part of Diff that lets more through: elements that sets
// lack. It comes before a tunnel is made, so that the first packet finds it.
func Opening(want Rules, have Actual) []Change {
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

// Listed is what Observe returns where all tables are as want has them, and
// there is no iptables.
func Listed(want Rules) Actual {
	var have Actual
	for _, t := range ourTables(want) {
		*have.ours(t.family) = t.listing()
	}
	return have
}

// diffTable has what is there or should be, where the other is nothing, in
// words.
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

// onlyElements tells whether two listings have all else in common.
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

// purposes are what each of the tables is for, in words.
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
	for _, p := range (Actual{Table: listing}).NonMasquerade() {
		all = append(all, network(p))
	}
	return or(strings.Join(all, ", "), "nothing")
}

// missing are those of lines that others lack. Most begin and end as the others do.
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

// few lines are looked for one by one.
const few = 16

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}
