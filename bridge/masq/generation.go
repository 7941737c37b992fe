package masq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// glance is what was seen last, and of which generation of nftables' ruleset.
type glance struct {
	generation uint32
	have       Actual
	until      time.Time // when to ask again for a family that the kernel lacks; zero: it lacks none
}

// isFresh reports whether a glance holds while the ruleset has a generation.
func (g *glance) isFresh(generation uint32, now time.Time) bool {
	return g != nil && g.generation == generation && (g.until.IsZero() || now.Before(g.until))
}

// span are generations that follow one another; the zero span is none.
type span struct {
	after uint32
	count int
}

// has tells it from a number's lower half, which is all that a notice has.
func (s span) has(lower uint16) bool {
	n := int(lower - uint16(s.after))
	return n > 0 && n <= s.count
}

// after is what is there when changes have been made by so many transactions; nil
// where that is not known, or somebody else has changed something meanwhile.
func (g *glance) after(changes []Change, commits int) (*glance, span) {
	if g == nil {
		return nil, span{}
	}
	have := g.have
	for _, c := range changes {
		if c.table == nil {
			return nil, span{}
		}
		*have.ours(c.family) = c.table
	}
	now, err := generation()
	if err != nil || now != g.generation+uint32(commits) {
		return nil, span{}
	}
	return &glance{now, have, g.until}, span{g.generation, commits}
}

// Observe returns what the packet filters have now, and changes nothing: a
// filter table of iptables that is not there does not come to be by it. What
// was seen last is still so while the kernel counts no change since. Of
// iptables-legacy's tables it counts none.
func (h *Host) Observe(ctx context.Context) (Actual, error) {
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
		h.last = &glance{now, have, h.untilAsked(have)}
	}
	return have, err2
}

// nfgenmsg is the size of the header that follows that of a netlink message, in
// bytes.
const nfgenmsg = 4

// generation is the number of the ruleset of this network namespace, which
// each transaction that changes something makes another one: what nft(8) itself
// asks to know whether what it has read is of one piece (NFT_MSG_GETGEN).
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
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT) // the kernel has answered before it returned
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
