package masq

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// takes tells whether this kernel takes a table of ours, which is not there,
// and does not make it:
// nft -c has the kernel check a transaction and then drops it. One that was
// taken is not asked for again; a module may still be loaded for one that was
// not.
func (h *Host) takes(ctx context.Context, t table) (bool, error) {
	if _, able := h.able.Load(t.family); able {
		return true, nil
	}
	_, err := run(ctx, "nft", "-c", t.empty())
	switch {
	case err == nil:
		h.able.Store(t.family, true)
		return true, nil
	case lacking(err.Error()):
		return false, nil
	}
	return false, err
}

// takesAll asks for several tables by one call. Most kernels take all; which one
// is not taken, and why, takes finds out.
func (h *Host) takesAll(ctx context.Context, tables ...table) {
	var all []string
	for _, t := range tables {
		if _, able := h.able.Load(t.family); able {
			return
		}
		all = append(all, t.empty())
	}
	if _, err := run(ctx, "nft", "-c", strings.Join(all, "; ")); err == nil {
		for _, t := range tables {
			h.able.Store(t.family, true)
		}
	}
}

// empty is the command that makes the table, with its chain.
func (t table) empty() string {
	return fmt.Sprintf("add table %s %s; add chain %s %s %s { type %s hook %s priority %s; }",
		t.family, tableName, t.family, tableName, t.chain, t.kind, t.hook, t.priority)
}

// lacking tells whether nft's words are about a family that the kernel is
// without (EOPNOTSUPP), or a kind of chain in it (ENOENT).
func lacking(text string) bool {
	return strings.Contains(text, "Could not process rule: Operation not supported") ||
		strings.Contains(text, "Could not process rule: No such file or directory")
}

func (a Actual) lacks(t table) bool { return slices.Contains(a.Lacks, string(t.family)) }
