package filter

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// transaction is an nftables transaction in the language of nft(8). The kernel
// makes all of its changes or none.
type transaction struct {
	family knftables.Family
	*knftables.Transaction
}

func (t transaction) String() string {
	lines := strings.Split(strings.TrimSpace(t.Transaction.String()), "\n")
	return "nft '" + strings.Join(lines, "; ") + "'"
}

func (t transaction) apply(ctx context.Context, _ *Host) error {
	return commit(ctx, t)
}

// commit joins several transactions and makes them as one, with one call of
// nft(8). knftables would first ask nft for its features, with two more calls
// per family. The features of this kernel are already known, see Host.takes.
func commit(ctx context.Context, all ...transaction) error {
	var text strings.Builder
	for _, t := range all {
		text.WriteString(t.Transaction.String())
	}
	if _, why, failed := strings.Cut(text.String(), "# ERROR: "); failed {
		return errors.New(why)
	}
	_, err := runWith(ctx, strings.NewReader(text.String()), "nft", "-f", "-")
	return err
}

// single returns the transactions of changes that consist of one transaction
// each. Changes that create our tables are of this kind. single returns false
// for other changes.
func single(changes []Change) (all []transaction, are bool) {
	for _, c := range changes {
		if len(c.steps) != 1 {
			return nil, false
		}
		t, is := c.steps[0].(transaction)
		if !is {
			return nil, false
		}
		all = append(all, t)
	}
	return all, true
}

// begin returns an empty transaction. It uses knftables' fake, because the fake
// needs no nft. Only the text of the transaction is used.
func (t table) begin() transaction {
	return transaction{t.family, knftables.NewFake(t.family, tableName).NewTransaction()}
}

// steps returns the steps that turn the table listed as have into t. Chains and
// sets of ours that exist are not replaced. A packet that passes during a
// replacement could meet neither the old nor the new one. Rules and elements of
// one transaction do not take effect for a packet at the same moment. Therefore
// new elements are added first, then rules change, and old elements are removed
// last.
//
// A table that has anything else is deleted and created again, in one
// transaction.
func (t table) steps(have []string) []step {
	is, ours := t.found(have)
	switch {
	case !t.wanted():
		tx := t.begin()
		tx.deleteTable()
		return []step{tx}
	case !ours:
		tx := t.begin()
		if have != nil {
			tx.deleteTable()
		}
		tx.Add(&knftables.Table{})
		for _, s := range t.sets {
			tx.addElements(s, s.elements)
		}
		for _, c := range t.chains {
			tx.fill(c)
		}
		return []step{tx}
	}
	steps := t.opening(is)
	tx := t.begin()
	filled := false
	for _, c := range t.chains {
		if there, exists := is.chain(c.name); !exists || !slices.Equal(c.rules, there.rules) {
			tx.fill(c)
			filled = true
		}
	}
	if filled {
		steps = append(steps, tx)
	}
	tx = t.begin()
	fewer := false
	for _, s := range t.sets {
		there, _ := is.set(s.name)
		for _, e := range missing(there.elements, s.elements) {
			tx.Delete(&knftables.Element{Set: s.name, Key: keyOf(e)})
			fewer = true
		}
	}
	if fewer {
		steps = append(steps, tx)
	}
	return steps
}

// opening returns the step that adds missing elements to sets. It returns none
// if no element is missing.
func (t table) opening(is table) []step {
	tx := t.begin()
	some := false
	for _, s := range t.sets {
		there, exists := is.set(s.name)
		if more := missing(s.elements, there.elements); len(more) > 0 || !exists {
			tx.addElements(s, more)
			some = true
		}
	}
	if !some {
		return nil
	}
	return []step{tx}
}

func (t table) set(name string) (set, bool) {
	for _, s := range t.sets {
		if s.name == name {
			return s, true
		}
	}
	return set{}, false
}

func (t table) chain(name string) (chain, bool) {
	for _, c := range t.chains {
		if c.name == name {
			return c, true
		}
	}
	return chain{}, false
}

func (t transaction) deleteTable() {
	t.Add(&knftables.Table{}) // without it, the deletion of a missing table fails
	t.Delete(&knftables.Table{})
}

// addElements adds a set with elements. If the set exists, only the elements
// are added.
func (t transaction) addElements(to set, elements []string) {
	s := &knftables.Set{Name: to.name, Type: to.kind}
	if to.interval {
		s.Flags = []knftables.SetFlag{knftables.IntervalFlag}
	}
	t.Add(s)
	for _, e := range elements {
		t.Add(&knftables.Element{Set: to.name, Key: keyOf(e)})
	}
}

// keyOf splits an element of a set that has several types.
func keyOf(element string) []string { return strings.Split(element, " . ") }

func (t transaction) fill(to chain) {
	t.Add(&knftables.Chain{
		Name:     to.name,
		Type:     knftables.PtrTo(to.kind),
		Hook:     knftables.PtrTo(to.hook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(to.priority)),
	})
	t.Flush(&knftables.Chain{Name: to.name})
	for _, rule := range to.rules {
		t.Add(&knftables.Rule{Chain: to.name, Rule: rule})
	}
}
