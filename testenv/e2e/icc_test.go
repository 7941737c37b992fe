package e2e

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// withoutICC has one host's Docker drop what its containers send each other
// ("icc": false). Mesh traffic passes, with either firewall backend of Docker.
func withoutICC(t *testing.T, l *testenv.Lab) {
	ctx, h := t.Context(), l.Host(2)
	var keys map[string]any
	must(t, json.Unmarshal([]byte(daemonJSON(t, h)), &keys))
	keys["icc"] = false
	text, err := json.Marshal(keys)
	must(t, err)
	must(t, os.WriteFile(h.DaemonJSON(), text, 0o644))
	must(t, h.RestartDocker(ctx))
	run(t, h, "docker", "start", "c1", "c2")
	whole(t, l)
	if h.Ping(ctx, "c1", container(t, h, "c2").Addr, 0) == nil {
		t.Fatal("containers of the host reach each other: the test proves nothing")
	}
	eachPair(t, l, func(from, to testenv.End) { seenAs(t, from, to, from.Addr) })
	noProblems(t, h)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
}
