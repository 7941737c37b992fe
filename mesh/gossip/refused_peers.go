package gossip

import (
	"net/netip"
	"strings"

	"github.com/gremesh/gremesh/mesh"
)

// unreadable describes gossip that cannot be decrypted.
type unreadable struct {
	from   netip.Addr
	stream bool // it came over a TCP connection, so the address is not forged
}

// handleRefusal reports a host that this host did not admit, or that did not
// admit this host. Such a host may have been a member while it was in no mesh.
// In that case handleRefusal also removes it from the members.
func (n *Node) handleRefusal(r refusal) {
	if m, ok := n.members[r.id]; ok && m.meta.Mesh == "" && m.underlay == r.underlay {
		n.markFailed(r.id)
	}
	problem := mesh.Problem{
		What: "refused host " + r.name + " at " + r.underlay.String() + ": " + r.why,
		Do:   "make the settings the same on all hosts of the mesh",
	}
	if strings.Contains(r.why, otherMesh) {
		problem.Do = "decide which mesh is to stay, and on a host of the other run `gremesh agent --join` with a host of that one"
	}
	if n.problems.setRefused(refusedHost, r.underlay.Addr(), problem) {
		n.cfg.Log.Warn("refused a host", "host", r.name, "underlay", r.underlay, "err", r.why)
	}
}

// handleUnreadable reports gossip that cannot be decrypted. It ignores
// datagrams from the address of a member, because a member's gossip can be
// decrypted. Another program has sent such a datagram. If a member has changed
// its key, it soon counts as failed, and its gossip is reported then.
func (n *Node) handleUnreadable(u unreadable) {
	for _, m := range n.members {
		if m.underlay.Addr() == u.from {
			return
		}
	}
	kind := unknownPacket
	switch {
	case n.isKnown(u.from):
		kind = knownAddress
	case u.stream:
		kind = unknownStream
	}
	problem := mesh.Problem{
		What: "gossip from " + u.from.String() + " is encrypted with another key, or only one of the two hosts encrypts",
		Do:   "make mesh.key_file and mesh.insecure the same on all hosts of the mesh",
	}
	if n.problems.setRefused(kind, u.from, problem) { // otherwise the view need not be refreshed
		n.viewDirty = true
		n.cfg.Log.Warn("gossip with another key", "underlay", u.from)
	}
}
