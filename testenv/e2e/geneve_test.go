package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

func TestMeshOfGeneve(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	must(t, l.Form(map[string]any{"tunnel.type": "geneve", "metrics.listen": metricsAt}))
	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	noRaces(t, l)
	fullSize(t, l, 1450)
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	must(t, hasType(ctx, h1, h2, "geneve"))
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}

	must(t, l.Filter(ctx, h1, h2, "geneve"))
	testenv.Eventually(t, soon, func() error { return problem(ctx, h2, "no Geneve from h1", "allow UDP port 6081 (Geneve)") })
	must(t, l.Heal(ctx))
	whole(t, l)

	config, err := os.ReadFile(h2.ConfigFile())
	must(t, err)
	second := h2.Dir + "/second.yaml"
	text := strings.NewReplacer("/state", "/state2", "gremesh.sock", "second.sock").Replace(string(config))
	must(t, os.WriteFile(second, []byte(text), 0o600))
	out, err := h2.Exec(ctx, "gremesh", "agent", "--config", second)
	if err == nil || !strings.Contains(err.Error(), "metrics.listen: another program listens at "+metricsAt) {
		t.Errorf("a second agent: %v\n%s", err, out)
	}
}
