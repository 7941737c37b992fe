package gossip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// short returns the first 8 digits of an ID. People see them beside a name that
// two hosts have.
func short(id lease.ID) string { return id.String()[:8] }

// isShared reports whether two hosts have the name of r's host: this host has
// it too, or another host that has or claims a lease. After `gremesh
// reset-identity`, r can be the record of this host's former ID.
func (n *Node) isShared(r lease.Record) bool {
	if r.Host != n.self && r.Name == n.cfg.Name {
		return true
	}
	for other := range n.machine.Table().All() {
		if other.Host != r.Host && other.Name == r.Name && other.State != lease.Released && other.State != lease.Forgotten {
			return true
		}
	}
	return false
}

// label returns a host's name for people. It adds the ID if two hosts have the
// name.
func (n *Node) label(r lease.Record) string {
	if n.isShared(r) {
		return fmt.Sprintf("%s (%s)", r.Name, short(r.Host))
	}
	return r.Name
}

// word returns the text by which a command can identify a host. This is its
// name, or its ID if two hosts have the name.
func (n *Node) word(r lease.Record) string {
	if n.isShared(r) {
		return short(r.Host)
	}
	return r.Name
}

// nameProblems returns a problem for each name that two or more hosts have.
func (n *Node) nameProblems() []mesh.Problem {
	byName := make(map[string][]lease.Record)
	for r := range n.machine.Table().All() {
		if r.State != lease.Released && r.State != lease.Forgotten {
			byName[r.Name] = append(byName[r.Name], r)
		}
	}
	var problems []mesh.Problem
	for name, all := range byName {
		if len(all) < 2 {
			continue
		}
		var hosts []string
		for _, r := range all {
			hosts = append(hosts, fmt.Sprintf("%s (%s) at %s", r.Name, short(r.Host), r.Underlay.Addr()))
		}
		slices.Sort(hosts)
		problems = append(problems, mesh.Problem{
			What: fmt.Sprintf("%d hosts have the name %s: %s", len(all), name, strings.Join(hosts, ", ")),
			Do:   "set another node.name on one of them and restart its agent; until then, give commands the ID in parentheses",
		})
	}
	slices.SortFunc(problems, func(a, b mesh.Problem) int { return strings.Compare(a.What, b.What) })
	return problems
}
