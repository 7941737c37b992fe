package masq

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// transaction is one of nftables, in the words of nft(8): a packet meets all of
// it or nothing.
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

// commit makes one transaction of several by one call of nft(8). knftables would
// ask it first what it can do, with two calls more for each family; what this
// kernel takes is known by then, see Host.takes.
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

// single returns the transactions of changes that consist of one each, as those
// do that make our tables.
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

// begin takes a fake, for it is without an nft at hand; only its words are
// wanted.
func (t table) begin() transaction {
	return transaction{t.family, knftables.NewFake(t.family, tableName).NewTransaction()}
}

// steps make the table that lists as have into t. A chain and a set that are
// ours as they are stay: packets that pass while one takes another's place may
// meet neither. Rules and elements of one transaction do not reach a packet at
// the same moment, so what comes is there before what it stands for goes.
func (t table) steps(have []string) []step {
	is, ours := t.found(have)
	switch {
	case len(t.rules) == 0:
		tx := t.begin()
		tx.deleteTable()
		return []step{tx}
	case !ours:
		tx := t.begin()
		if have != nil {
			tx.deleteTable()
		}
		tx.Add(&knftables.Table{})
		tx.addElements(t, t.elements)
		tx.fill(t)
		return []step{tx}
	}
	var steps []step
	if more := missing(t.elements, is.elements); len(more) > 0 || t.set != is.set {
		tx := t.begin()
		tx.addElements(t, more)
		steps = append(steps, tx)
	}
	if !slices.Equal(t.rules, is.rules) {
		tx := t.begin()
		tx.fill(t)
		steps = append(steps, tx)
	}
	if fewer := missing(is.elements, t.elements); len(fewer) > 0 {
		tx := t.begin()
		for _, e := range fewer {
			tx.Delete(&knftables.Element{Set: t.set, Key: []string{e}})
		}
		steps = append(steps, tx)
	}
	return steps
}

func (t transaction) deleteTable() {
	t.Add(&knftables.Table{}) // or there may be none to delete
	t.Delete(&knftables.Table{})
}

func (t transaction) addElements(to table, elements []string) {
	if to.set == "" {
		return
	}
	t.Add(&knftables.Set{Name: to.set, Type: setType})
	for _, e := range elements {
		t.Add(&knftables.Element{Set: to.set, Key: []string{e}})
	}
}

func (t transaction) fill(to table) {
	t.Add(&knftables.Chain{
		Name:     to.chain,
		Type:     knftables.PtrTo(to.kind),
		Hook:     knftables.PtrTo(to.hook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(to.priority)),
	})
	t.Flush(&knftables.Chain{Name: to.chain})
	for _, rule := range to.rules {
		t.Add(&knftables.Rule{Chain: to.chain, Rule: rule})
	}
}
