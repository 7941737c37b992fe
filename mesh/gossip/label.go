package gossip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// short is the beginning of an ID, as people see it beside a name that two
// hosts have.
func short(id lease.ID) string { return id.String()[:8] }

// isShared reports whether this host, or another one that has a lease, has the
// name of a record's host. After `gremesh reset-identity` that can be this host
// under its former ID.
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

// label is a host as people see it: its name, and its ID where two hosts have
// that name.
func (n *Node) label(r lease.Record) string {
	if n.isShared(r) {
		return fmt.Sprintf("%s (%s)", r.Name, short(r.Host))
	}
	return r.Name
}

// word is what a command takes for a host: its name, or its ID where two hosts
// have that name.
func (n *Node) word(r lease.Record) string {
	if n.isShared(r) {
		return short(r.Host)
	}
	return r.Name
}

// nameProblems are the names that two hosts have.
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
