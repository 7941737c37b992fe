package gossip

import (
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// mostBadRecords bounds the problems about records that were refused: a member
// can invent as many hosts as it likes.
const mostBadRecords = 16

const badRecordKey = "record "

// badRecord sets the problem about a refused record. Beyond the bound it is
// dropped.
func (p *problems) badRecord(host lease.ID, problem mesh.Problem) bool {
	key := badRecordKey + host.String()
	if _, known := p.byKey[key]; !known {
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
	return p.set(key, problem, unlessAgain)
}
