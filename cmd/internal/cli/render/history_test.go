package render

import (
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/journal"
)

func TestHistoryReadsWell(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	golden(t, "history_none.txt", History(nil))
	golden(t, "history.txt", History([]journal.Change{
		{Time: at, Object: "lease", Is: "172.17.42.0/24", Cause: "it was free"},
		{Time: at.Add(time.Second), Object: "port gre43", Is: "gre to 192.168.248.140 (h2, 172.17.43.0/24) on br0", Cause: "h2 joined", Seconds: 0.0432},
		{Time: at.Add(time.Hour), Object: "address of docker0", Was: "172.17.0.1/16", Is: "172.17.42.1/24",
			Cause: "docker0 was re-addressed (172.17.42.1/24 -> 172.17.0.1/16)", Seconds: 0.001},
		{Time: at.Add(2 * time.Hour), Object: "port gre43", Was: "gre to 192.168.248.140 (h2, 172.17.43.0/24) on br0", Cause: "h2 left", Seconds: 1.25},
		{Time: at.Add(3 * time.Hour), Event: "tunnel-up", Object: "tunnel to h3", Was: "down for 16s", Is: "up", After: 16.2},
	}))
}
