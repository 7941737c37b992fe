package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/testenv"
)

// mendedWithin is the promise: drift is gone 2 s after its cause.
const mendedWithin = 2 * time.Second

// changesHaveTheirCauses damages a host, and reads of each thing that was put
// right what is said to have caused it.
func changesHaveTheirCauses(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	name := port(t, h2)
	bip := status(t, h1).Host.Bip.String()
	const program = "changed by another program"
	for _, c := range []struct {
		name   string
		damage [][]string
		want   map[string]string // cause by object
	}{
		{"a port is unprotected", [][]string{{"ovs-vsctl", "set", "port", name, "protected=false"}},
			map[string]string{"port " + name + " protected": program}},
		{"docker0 is re-addressed", [][]string{{"sh", "-c", "ip address del " + bip + " dev docker0; ip address add 172.17.0.1/16 dev docker0"}},
			map[string]string{"address of docker0": "docker0 was re-addressed (" + bip + " -> 172.17.0.1/16)", "route 172.17.0.0/16": "docker0 was re-addressed (" + bip + " -> 172.17.0.1/16)"}},
		{"docker0 is deleted", [][]string{{"ip", "link", "del", "docker0"}},
			map[string]string{"link docker0": "docker0 was deleted", "route 172.17.0.0/16": "docker0 was deleted", "link br0 master": "docker0 was deleted"}},
		{"docker0 is taken down", [][]string{{"ip", "link", "set", "docker0", "down"}},
			map[string]string{"link docker0 state": program, "route 172.17.0.0/16": "docker0 was taken down"}},
		{"br0 is deleted", [][]string{{"ovs-vsctl", "del-br", "br0"}},
			map[string]string{"bridge br0": program, "port " + name: "br0 was deleted", "link br0 master": program}},
	} {
		began := time.Now()
		for _, damage := range c.damage {
			run(t, h1, damage...)
		}
		testenv.Eventually(t, soon, func() error { return named(t, h1, began, c.want) })
		testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
		for _, change := range recent(t, h1, began) {
			if took := change.Time.Sub(began); took > testenv.Patience(mendedWithin) {
				t.Errorf("%s: %s was put right after %s", c.name, change.Object, took)
			}
		}
	}
}

// recent are the changes of a host since a time.
func recent(t *testing.T, h *testenv.Host, since time.Time) []journal.Change {
	t.Helper()
	out, err := h.Gremesh(t.Context(), "history", "-n", "0", "-o", "json")
	must(t, err)
	var all []journal.Change
	must(t, json.Unmarshal([]byte(out), &all))
	return journal.Since(all, since)
}

// named tells that each object was changed, for the reason that is wanted.
func named(t *testing.T, h *testenv.Host, since time.Time, want map[string]string) error {
	t.Helper()
	all := recent(t, h, since)
	got := make(map[string]string)
	for _, c := range all {
		got[c.Object] = c.Cause
	}
	for object, cause := range want {
		if got[object] != cause {
			return fmt.Errorf("%s: %s was changed for %q, want %q: %+v", h.Name, object, got[object], cause, all)
		}
	}
	return nil
}
