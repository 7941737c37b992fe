package masq

import (
	"context"
	"os/exec"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// transaction is one of nftables: a packet meets all of it or nothing.
type transaction struct {
	family knftables.Family
	*knftables.Transaction
}

func (t transaction) String() string {
	lines := strings.Split(strings.TrimSpace(t.Transaction.String()), "\n")
	return "nft '" + strings.Join(lines, "; ") + "'"
}

func (t transaction) apply(ctx context.Context, on *Host) error {
	nft, err := on.nft(t.family)
	if err != nil {
		return err
	}
	return nft.Run(ctx, t.Transaction)
}

// nftAt is nft(8) at a path, for a family.
type nftAt struct {
	path   string
	family knftables.Family
}

// nft is our table of a family. Whether nft(8) will do for it takes two calls to
// find out, and is asked once of each.
func (h *Host) nft(family knftables.Family) (knftables.Interface, error) {
	path, err := exec.LookPath("nft")
	if err != nil {
		return nil, err
	}
	at := nftAt{path, family}
	if nft, known := h.nfts.Load(at); known {
		return nft.(knftables.Interface), nil
	}
	nft, err := knftables.New(family, tableName, knftables.NoObjectCommentEmulation) // which takes more calls to find out about
	if err == nil {
		h.nfts.Store(at, nft)
	}
	return nft, err
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
