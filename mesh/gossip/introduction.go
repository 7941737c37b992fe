package gossip

import (
	"context"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	introduceTimeout = 2 * time.Second
	introduceEvery   = 50 * time.Millisecond
	// answerDelay is the time to allow for an answer to a challenge to
	// arrive.
	answerDelay = 50 * time.Millisecond
)

// introduce waits until every live member has challenged this process and has
// received its answer. It waits at most introduceFor. A member does not process
// the packets of an unknown process until that process answers a challenge.
// Without this wait, the last packets of a process that is about to end would
// be lost.
func (n *Node) introduce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	for {
		unknown := false
		err := n.ask(ctx, func() lease.Effects {
			for id, m := range n.members {
				switch at, ok := n.answered[id]; {
				case !ok:
					unknown = true
					n.sendPacket(id, m.underlay, packet{Mesh: n.mesh, TableDigest: &tableDigest{From: n.self, Digest: n.machine.Table().Digest()}})
				case time.Since(at) < answerDelay:
					unknown = true
				}
			}
			return lease.Effects{}
		})
		if err != nil || !unknown || !sleepContext(ctx, introduceEvery) {
			return err
		}
	}
}
