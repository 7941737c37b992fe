package gossip

import (
	"context"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	introduceFor   = 2 * time.Second
	introduceEvery = 50 * time.Millisecond
	// answerArrives is how long an answer to a challenge takes to arrive.
	answerArrives = 50 * time.Millisecond
)

// introduce waits until every member that is alive has challenged this process
// and has been answered, at most for introduceFor. A member keeps the packets of
// a process that it does not know yet until the process answers a challenge:
// what a process says just before it ends would be lost.
func (n *Node) introduce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, introduceFor)
	defer cancel()
	for {
		unknown := false
		err := n.ask(ctx, func() lease.Output {
			for id, m := range n.members {
				switch at, ok := n.answered[id]; {
				case !ok:
					unknown = true
					n.sendPacket(id, m.underlay, packet{Mesh: n.mesh, Sum: &sum{From: n.self, Digest: n.machine.Table().Digest()}})
				case time.Since(at) < answerArrives:
					unknown = true
				}
			}
			return lease.Output{}
		})
		if err != nil || !unknown || !wait(ctx, introduceEvery) {
			return err
		}
	}
}
