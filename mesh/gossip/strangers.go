package gossip

import (
	"net/netip"
	"strings"

	"github.com/gremesh/gremesh/mesh"
)

// unreadable is gossip that cannot be decrypted.
type unreadable struct {
	from   netip.Addr
	stream bool // it came by a connection: the address is real
}

// handleRefusal reports a host that was not let in, or that did not let us in. It
// may have been before, as long as it was of no mesh.
func (n *Node) handleRefusal(r refusal) {
	if m, was := n.members[r.id]; was && m.meta.Mesh == "" && m.underlay == r.underlay {
		n.lose(r.id)
	}
	problem := mesh.Problem{
		What: "refused host " + r.name + " at " + r.underlay.String() + ": " + r.why,
		Do:   "make the settings the same on all hosts of the mesh",
	}
	if strings.Contains(r.why, otherMesh) {
		problem.Do = "decide which mesh is to stay, and on a host of the other run `gremesh agent --join` with a host of that one"
	}
	if n.problems.stranger(refusedHost, r.underlay.Addr(), problem) {
		n.cfg.Log.Warn("refused a host", "host", r.name, "underlay", r.underlay, "err", r.why)
	}
}

// handleUnreadable reports gossip that cannot be decrypted. A member's gossip is
// decrypted all the time: a datagram from its address that cannot be is somebody
// else's. If its key has changed, it soon counts as failed, and is reported then.
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
	if n.problems.stranger(kind, u.from, problem) { // else it is no reason to make the view anew
		n.touched = true
		n.cfg.Log.Warn("gossip with another key", "underlay", u.from)
	}
}
