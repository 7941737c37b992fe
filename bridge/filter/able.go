package filter

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/knftables"
)

// askAgain is how long the answer stays valid that this kernel lacks a family.
// Each question starts nft, and the kernel starts modprobe for the module.
const askAgain = time.Minute

// ability is the last answer to the question whether this kernel accepts our
// table of a family.
type ability struct {
	yes   bool
	asked time.Time
}

// takes reports whether this kernel accepts our table t. It does not create the
// table: with nft -c, the kernel checks a transaction and then drops it. A
// positive answer stays valid forever. A negative answer stays valid for
// askAgain, because the module may be loaded later.
func (h *Host) takes(ctx context.Context, t table) (bool, error) {
	now := h.now()
	if known, ok := h.able[t.family]; ok && (known.yes || now.Sub(known.asked) < askAgain) {
		return known.yes, nil
	}
	err := check(ctx, t)
	if err != nil && !lacking(err.Error()) {
		return false, err
	}
	h.able[t.family] = ability{err == nil, now}
	return err == nil, nil
}

// untilAsked returns the time of the next question to the kernel. It returns
// zero if the kernel lacks no family.
func (h *Host) untilAsked(have State) (first time.Time) {
	for _, family := range have.MissingFamilies {
		if t := h.able[knftables.Family(family)].asked.Add(askAgain); first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}

// probeAll asks about several tables with one call of nft. Most kernels accept
// all of them. If the kernel does not, probeAll records nothing, and takes
// finds out the table and the reason. It does nothing if one of the answers is
// known.
func (h *Host) probeAll(ctx context.Context, tables ...table) {
	for _, t := range tables {
		if _, known := h.able[t.family]; known {
			return
		}
	}
	if check(ctx, tables...) == nil {
		for _, t := range tables {
			h.able[t.family] = ability{yes: true}
		}
	}
}

// check has the kernel check the tables with all of their rules. It returns an
// error if the kernel does not accept them, and changes nothing.
func check(ctx context.Context, tables ...table) error {
	var text strings.Builder
	for _, t := range tables {
		for _, s := range t.steps(nil) {
			text.WriteString(s.(transaction).Transaction.String())
		}
	}
	_, err := run(ctx, "nft", "-c", text.String())
	return err
}

// sample has rules that use every kernel feature that our rules may need.
var sample = Rules{
	Pool:          netip.MustParsePrefix("172.17.0.0/16"),
	Subnet:        netip.MustParsePrefix("172.17.1.0/24"),
	NonMasquerade: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")},
	Quiet:         "br0",
	Guard: Guard{
		Bridge: "docker0", Port: "br0", Link: "eth0", Services: []uint16{7946, 9747}, Settled: true, BFD: true,
		Hosts: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Tunnels: []string{"gre", "vxlan"},
		Sources: []Source{{"02:42:ac:11:02:01", netip.MustParsePrefix("172.17.2.0/24")}},
	},
}

// lacking reports whether an error text of nft means that the kernel lacks a
// family (EOPNOTSUPP), or a kind of chain in it (ENOENT).
func lacking(text string) bool {
	return strings.Contains(text, "Could not process rule: Operation not supported") ||
		strings.Contains(text, "Could not process rule: No such file or directory")
}

func (a State) lacks(t table) bool { return slices.Contains(a.MissingFamilies, string(t.family)) }
