package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// element begins a line of a listing that has one element of a set. nft itself
// puts a varying number of elements on a line.
const element = "element "

// From 1.1.x on, nft lists the check for a return route with other words than
// the rule was written with. It accepts both forms.
const (
	fibMissing = "fib saddr . iif oif missing"
	newerFib   = "fib saddr . iif check missing"
)

// parseListing converts nft's output of one table into the form of listing.
func parseListing(text string) []string {
	var lines, elements []string
	within := false // inside the elements of a set
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		line = strings.Replace(line, newerFib, fibMissing, 1)
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
	return inOrder(append(lines, elements...))
}

// inOrder sorts the sets and chains of a listing by their first lines, chains
// before sets. Without that, two equal tables could differ, because nft lists
// objects in the order of their creation.
func inOrder(lines []string) []string {
	if len(lines) < 2 || lines[len(lines)-1] != "}" {
		return lines
	}
	var blocks [][]string
	begin := 1
	for i := 1; i < len(lines)-1; i++ {
		if lines[i] == "}" {
			blocks, begin = append(blocks, lines[begin:i+1]), i+1
		}
	}
	blocks = append(blocks, lines[begin:len(lines)-1])
	slices.SortStableFunc(blocks, func(a, b []string) int { return strings.Compare(first(a), first(b)) })
	return slices.Concat(slices.Concat([][]string{lines[:1]}, blocks, [][]string{lines[len(lines)-1:]})...)
}

func first(block []string) string {
	if len(block) == 0 {
		return "~" // sorts after all others
	}
	return block[0]
}

// listing returns nft's listing of the table, line by line. It has single
// blanks, each element on a line of its own, and the order of inOrder. It
// returns nil if the table should not exist.
func (t table) listing() []string {
	if !t.wanted() {
		return nil
	}
	return t.lines()
}

func (t table) lines() []string {
	lines := []string{t.firstLine()}
	for _, c := range t.chains {
		lines = append(append(append(lines, c.header()...), c.rules...), "}")
	}
	for _, s := range t.sets {
		lines = append(lines, s.header()...)
		for _, e := range s.elements {
			lines = append(lines, element+e)
		}
		lines = append(lines, "}")
	}
	return append(lines, "}")
}

func (t table) firstLine() string { return fmt.Sprintf("table %s %s {", t.family, tableName) }

func (c chain) header() []string {
	return []string{
		"chain " + c.name + " {",
		fmt.Sprintf("type %s hook %s priority %s; policy accept;", c.kind, c.hook, c.priority),
	}
}

func (s set) header() []string {
	lines := []string{"set " + s.name + " {", "type " + s.kind}
	if s.interval {
		lines = append(lines, "flags interval")
	}
	return lines
}

// plain matches elements that are addresses and networks, without a timeout or
// a comment.
var plain = regexp.MustCompile(`^[0-9a-f.:/ ]+$`)

// found converts a listing into a table with our chains and sets that the
// listing has, with any rules and elements. It returns false if the listing is
// of another table or has anything else.
func (t table) found(listing []string) (is table, ok bool) {
	is.family = t.family
	blocks, ok := t.blocks(listing)
	for _, block := range blocks {
		ok = ok && is.take(t, block)
	}
	return is, ok
}

// foundSets returns a table with our sets that a listing has. It ignores
// everything else in the listing.
func (t table) foundSets(listing []string) table {
	is := table{family: t.family}
	t.chains = nil
	blocks, _ := t.blocks(listing)
	for _, block := range blocks {
		is.take(t, block)
	}
	return is
}

// blocks returns the sets and chains of a listing. It returns false if the
// listing is not of a table with this name, or is malformed.
func (t table) blocks(listing []string) (blocks [][]string, ok bool) {
	if len(listing) < 2 || listing[0] != t.firstLine() || listing[len(listing)-1] != "}" {
		return nil, false
	}
	rest := listing[1 : len(listing)-1]
	for len(rest) > 0 {
		end := slices.Index(rest, "}")
		if end < 0 {
			return blocks, false
		}
		blocks = append(blocks, rest[:end])
		rest = rest[end+1:]
	}
	return blocks, true
}

// take adds the chain or set of a block to t. It returns false if want has none
// with this header, or if an element is not plain.
func (t *table) take(want table, block []string) bool {
	for _, c := range want.chains {
		if h := c.header(); len(block) >= len(h) && slices.Equal(block[:len(h)], h) {
			c.rules = block[len(h):]
			t.chains = append(t.chains, c)
			return true
		}
	}
	for _, s := range want.sets {
		h := s.header()
		if len(block) < len(h) || !slices.Equal(block[:len(h)], h) {
			continue
		}
		s.elements = nil
		for _, line := range block[len(h):] {
			e, isElement := strings.CutPrefix(line, element)
			if !isElement || !plain.MatchString(e) {
				return false
			}
			s.elements = append(s.elements, e)
		}
		t.sets = append(t.sets, s)
		return true
	}
	return false
}
