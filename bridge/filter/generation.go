package filter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// cachedState is the last observed state and its generation of nftables' ruleset.
type cachedState struct {
	generation uint32
	have       State
	until      time.Time // when to ask again for a family that the kernel lacks; zero if it lacks none
}

// isFresh reports whether a cached state is still valid at a time, when the ruleset
// has this generation.
func (g *cachedState) isFresh(generation uint32, now time.Time) bool {
	return g != nil && g.generation == generation && (g.until.IsZero() || now.Before(g.until))
}

// generationRange is a run of consecutive ruleset generations. The zero value is
// empty.
type generationRange struct {
	after uint32
	count int
}

// has reports whether a generation is in the span. lower is the lower half of
// its number, because a notice has no more than that.
func (s generationRange) has(lower uint16) bool {
	n := int(lower - uint16(s.after))
	return n > 0 && n <= s.count
}

// after returns the state after changes were made by this number of
// transactions, and the generations of these transactions. It returns nil if
// that state is not known, or if another program has changed something
// meanwhile.
func (g *cachedState) after(changes []Change, commits int) (*cachedState, generationRange) {
	if g == nil {
		return nil, generationRange{}
	}
	have := g.have
	for _, c := range changes {
		if c.table == nil {
			return nil, generationRange{}
		}
		*have.ours(c.family) = c.table
	}
	now, err := generation()
	if err != nil || now != g.generation+uint32(commits) {
		return nil, generationRange{}
	}
	return &cachedState{now, have, g.until}, generationRange{g.generation, commits}
}

// Observe returns the current state of the packet filters and changes nothing.
// It does not create a filter table of iptables that does not exist. It returns
// the last state again while the kernel counts no change. The kernel does not
// count changes of iptables-legacy's tables, so these are always read.
func (h *Host) Observe(ctx context.Context) (State, error) {
	h.looking.Lock()
	defer h.looking.Unlock()
	now, err := generation()
	if counted := err == nil; counted && h.last.isFresh(now, h.now()) {
		if legacy, err := legacyFilter(); err == nil && !legacy {
			return h.last.have, nil
		}
	}
	h.last = nil
	have, err2 := h.look(ctx)
	if err == nil && err2 == nil && !slices.ContainsFunc(have.Filters, Filter.legacy) {
		h.last = &cachedState{now, have, h.untilAsked(have)}
	}
	return have, err2
}

// nfgenmsg is the size, in bytes, of the header that follows the header of a
// netlink message.
const nfgenmsg = 4

// generation returns the number of the ruleset of this network namespace. Each
// transaction that changes something gives the ruleset another number. nft(8)
// uses it to find out whether a listing is consistent (NFT_MSG_GETGEN).
func generation() (uint32, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, fmt.Errorf("open a netlink socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	ask := make([]byte, unix.SizeofNlMsghdr+nfgenmsg)
	binary.NativeEndian.PutUint32(ask, uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN)
	binary.NativeEndian.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for the generation of nftables' ruleset: %w", err)
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT) // the kernel answers before Sendto returns
	if err != nil {
		return 0, fmt.Errorf("receive the generation of nftables' ruleset: %w", err)
	}
	const header = unix.SizeofNlMsghdr + nfgenmsg + unix.SizeofNlAttr // NFTA_GEN_ID comes first
	if n < header+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN ||
		binary.NativeEndian.Uint16(answer[header-2:]) != unix.NFTA_GEN_ID {
		return 0, errors.New("the kernel does not tell the generation of nftables' ruleset")
	}
	return binary.BigEndian.Uint32(answer[header:]), nil
}
