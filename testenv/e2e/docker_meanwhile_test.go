package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestDockerAndWhatHappensMeanwhile has two hosts, and on the second a Docker
// that takes long to be restarted.
func TestDockerAndWhatHappensMeanwhile(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 2, Docker: true})
	noRaces(t, l)
	inTurn(t, l,
		behaviour{"the host moves while Docker is restarted", movesWhileDockerIsRestarted},
		behaviour{"docker0 is deleted while no agent runs", docker0IsDeletedMeanwhile},
	)
}

func movesWhileDockerIsRestarted(t *testing.T, l *testenv.Lab) {
	const there = "10.90.0.12"
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	must(t, l.Form(nil))
	must(t, join(h2, h1, map[string]any{
		"node.advertise": underlayDevice(),
		"docker.restart": []string{"sh", "-c", "sleep 15; exec " + h2.DockerScript() + " restart"},
	}))
	must(t, l.StartAgents(ctx))
	restarted := func() error { return pending(ctx, h2, "Docker is being restarted") }
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

// docker0IsDeletedMeanwhile is found by the next agent, with the containers that
// were in it.
func docker0IsDeletedMeanwhile(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2 := t.Context(), l.Host(1), l.Host(2)
	addr, err := h2.RunContainer(ctx, "c1")
	must(t, err)
	_, err = h1.RunContainer(ctx, "c1")
	must(t, err)
	reached := func() error { return h1.Ping(ctx, "c1", addr, 0) }
	testenv.Eventually(t, soon, reached)
	must(t, h2.StopAgent(ctx, syscall.SIGTERM))
	run(t, h2, "ip", "link", "delete", "docker0")
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, reached)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h2, 0) })
}
