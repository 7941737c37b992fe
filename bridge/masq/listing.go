package masq

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// element begins a line of a listing that stands for one of a set: nft itself
// puts as many on a line as it likes.
const element = "element "

// parseListing brings what nft has printed into the form of listing.
func parseListing(text string) []string {
	var lines, elements []string
	within := false // the elements of a set
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if first, is := strings.CutPrefix(line, "elements = {"); is {
			line, within = first, true
		}
		if !within {
			if line != "" {
				lines = append(lines, line)
			}
			continue
		}
		line, last := strings.CutSuffix(line, "}")
		for e := range strings.SplitSeq(line, ",") {
			if e = strings.TrimSpace(e); e != "" {
				elements = append(elements, element+e)
			}
		}
		if last {
			slices.Sort(elements)
			lines, elements, within = append(lines, elements...), nil, false
		}
	}
	return append(lines, elements...)
}

// listing is what nft lists of the table, line by line, blanks made single,
// elements on lines of their own; nil: there should be none.
func (t table) listing() []string {
	if len(t.rules) == 0 {
		return nil
	}
	return t.lines()
}

func (t table) lines() []string {
	lines := []string{fmt.Sprintf("table %s %s {", t.family, tableName)}
	if t.set != "" {
		lines = append(lines, t.setLine(), "type "+setType)
		for _, e := range t.elements {
			lines = append(lines, element+e)
		}
		lines = append(lines, "}")
	}
	lines = append(lines, t.chainLine(), fmt.Sprintf("type %s hook %s priority %s; policy accept;", t.kind, t.hook, t.priority))
	return append(append(lines, t.rules...), "}", "}")
}

func (t table) setLine() string { return "set " + t.set + " {" }

func (t table) chainLine() string { return "chain " + t.chain + " {" }

// found is the table that a listing is of: with our chain, perhaps with our set,
// and nothing beside them, whatever the rules and the addresses. It is not ok if
// the listing is of another.
func (t table) found(listing []string) (is table, ok bool) {
	is = t
	is.rules, is.elements = nil, nil
	if !slices.Contains(listing, t.setLine()) {
		is.set = ""
	}
	for _, line := range listing {
		if e, isElement := strings.CutPrefix(line, element); isElement {
			if addr, err := netip.ParseAddr(e); err != nil || !addr.Is4() {
				return table{}, false
			}
			is.elements = append(is.elements, e)
		}
	}
	if rules := slices.Index(listing, t.chainLine()) + 2; rules >= 2 && rules <= len(listing)-2 {
		is.rules = listing[rules : len(listing)-2]
	}
	return is, slices.Equal(is.lines(), listing) && !slices.Contains(is.rules, "}")
}
