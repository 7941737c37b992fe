package gossip

import (
	"fmt"
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// mostBadRecords is the largest number of problems about refused records. It
// needs a bound, because a member can invent any number of hosts.
const mostBadRecords = 16

const badRecordKey = "record "

// badRecord sets the problem about a refused record of a host. It reports
// whether the problem is new. It drops the problem if there are mostBadRecords
// problems already.
func (p *problems) badRecord(host lease.ID, problem mesh.Problem) bool {
	key := badRecordKey + host.String()
	if _, ok := p.byKey[key]; !ok {
		p.expire()
		count := 0
		for key := range p.byKey {
			if strings.HasPrefix(key, badRecordKey) {
				count++
			}
		}
		if count >= mostBadRecords {
			return false
		}
	}
	return p.set(key, problem, problemTTL)
}

// noteRefused reports records that exceed the limits for one message.
func (n *Node) noteRefused(records []lease.Record) {
	for _, r := range records {
		problem := mesh.Problem{
			What: fmt.Sprintf("a record of %s (%s) was refused: its version or age lies too far beyond all that are known, or the table is full", r.Name, short(r.Host)),
			Do:   "find the host that sends it: it has the gossip key. If this host keeps an earlier record of that kind: `gremesh forget --purge " + short(r.Host) + "`",
		}
		if n.problems.badRecord(r.Host, problem) {
			n.cfg.Log.Warn("refused a record", "peer", r.Name, "host", r.Host, "version", r.Version, "age", r.Sequence)
		}
	}
}
