package testenv_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

func TestDockerIsRestartedWithItsConfiguration(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 1, Docker: true})
	ctx, h := t.Context(), l.Host(1)
	// dockerd would give a container that ignores its stop signal a minute, and
	// RestartDocker fails after 30 s.
	_, err := h.RunContainer(ctx, "c1", "--restart=always", "--stop-timeout=60")
	must(t, err)

	must(t, os.WriteFile(h.DaemonJSON(), []byte(`{"bip": "172.17.77.1/24"}`), 0o644))
	must(t, h.RestartDocker(ctx))
	testenv.Eventually(t, 20*time.Second, func() error {
		addr, err := h.ContainerAddr(ctx, "c1")
		if err != nil {
			return err
		}
		return h.Ping(ctx, "", addr, 0)
	})
	addr, err := h.ContainerAddr(ctx, "c1")
	must(t, err)
	if addr.String() != "172.17.77.2" {
		t.Errorf("after the restart the container has %s", addr)
	}

	must(t, h.KillDocker(ctx))
	must(t, h.Ping(ctx, "", addr, 0)) // the container goes on
	must(t, os.WriteFile(h.DaemonJSON(), []byte(`{"bip": `), 0o644))
	err = h.StartDocker(ctx)
	if err == nil || !strings.Contains(err.Error(), "unable to configure the Docker daemon") {
		t.Errorf("a malformed daemon.json: %v", err)
	}
	must(t, os.WriteFile(h.DaemonJSON(), []byte(`{"bip": "172.17.77.1/24"}`), 0o644))
	must(t, h.StartDocker(ctx))
}
