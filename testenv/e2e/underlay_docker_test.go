package e2e

import (
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestHostThatMovesWhileDockerIsRestarted has a Docker that takes long.
func TestHostThatMovesWhileDockerIsRestarted(t *testing.T) {
	const there = "10.90.0.12"
	l := start(t, testenv.Config{Hosts: 2, Docker: true})
	noRaces(t, l)
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	must(t, l.Form(nil))
	must(t, join(h2, h1, map[string]any{
		"node.advertise": underlayDevice(),
		"docker.restart": []string{"sh", "-c", "sleep 15; exec " + h2.DockerScript() + " restart"},
	}))
	must(t, l.StartAgents(ctx))
	restarted := func() error { return problem(ctx, h2, "Docker is being restarted") }
	testenv.Eventually(t, soon, restarted)
	name, own := port(t, h2), port(t, h1)
	began := time.Now()
	move(t, h2, h2.Addr.String(), there)
	testenv.Eventually(t, follows, func() error { return leadsTo(t, l, h2, name, there) })
	testenv.Eventually(t, 5*time.Second, restarted) // at the end of its first pass
	must(t, named(t, h2, began, map[string]string{"interface " + own + " options:local_ip": "this host moved to " + there}))
	settledIn(t, l)
	restarts := 0
	for _, change := range recent(t, h2, began) {
		if change.Object == "dockerd" {
			restarts++
		}
	}
	if restarts != 1 {
		t.Errorf("Docker was restarted %d times", restarts)
	}
}
