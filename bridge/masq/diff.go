package masq

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh/drift"
)

// Change is a difference and the steps that mend it, in order.
type Change struct {
	drift.Drift
	steps []step
	table []string // our table's listing then, where none but elements of its set are changed; nil: it is to be looked at
}

// step is one act on the packet filter; its text is the command that does the
// same.
type step interface {
	fmt.Stringer
	apply(ctx context.Context, on *Host) error
}

func change(object, is, should string, steps ...step) Change {
	c := Change{Drift: drift.Drift{Object: object, Is: is, Should: should}, steps: steps}
	for _, s := range steps {
		c.Commands = append(c.Commands, s.String())
	}
	return c
}

// Diff returns what makes have into want. For the zero Rules that is the
// removal of what is ours.
func Diff(want Rules, have Actual) []Change {
	var all []Change
	if nat := natTable(want.kept(have)); !have.lacks(nat) {
		all = append(all, diffTable(nat, have.Table, keeps)...)
	}
	if quiet := quietTable(want); !have.lacks(quiet) {
		all = append(all, diffTable(quiet, have.Quiet, quiets)...)
	}
	for _, f := range have.Filters {
		all = append(all, diffUserChain(want, f)...)
	}
	return all
}

// diffTable has what is there or should be, where the other is nothing, in the
// words of told.
func diffTable(want table, have []string, told func([]string) string) []Change {
	should := want.listing()
	if slices.Equal(have, should) {
		return nil
	}
	acts := want.steps(have)
	switch {
	case have == nil:
		return []Change{change(want.String(), "", told(should), acts...)}
	case should == nil:
		return []Change{change(want.String(), told(have), "", acts...)}
	}
	is, than := strings.Join(missing(have, should), "; "), strings.Join(missing(should, have), "; ")
	if is+than == "" {
		is, than = "in another order", "in ours"
	}
	c := change(want.String(), or(is, "incomplete"), or(than, "without that"), acts...)
	if want.set != "" && onlyElements(have, should) {
		c.table = should
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

// What each of the tables is for, in words.
func keeps(listing []string) string { return "not to masquerade " + destinations(listing) }

func quiets([]string) string { return "to keep the bridge's own broadcasts out of the tunnels" }

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
