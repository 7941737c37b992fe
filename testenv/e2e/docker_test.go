package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// dockerRestartedByHand loses no more than what Docker itself takes.
func dockerRestartedByHand(t *testing.T, l *testenv.Lab) {
	ctx, h2 := t.Context(), l.Host(2)
	must(t, h2.RestartDocker(ctx))
	testenv.Eventually(t, 2*time.Second, func() error { return attached(t, h2) })
	whole(t, l)
	containersReachEachOther(t, l)
	auditIsClean(t, l)
}

// attached tells that br0 is in docker0, and docker0 has the aggregate route.
func attached(t *testing.T, h *testenv.Host) error {
	route, err := h.Exec(t.Context(), "ip", "route", "show", "172.17.0.0/16")
	if err == nil && !strings.Contains(route, "dev docker0") {
		err = fmt.Errorf("%s: no aggregate route", h.Name)
	}
	link, linkErr := h.Exec(t.Context(), "ip", "-o", "link", "show", "br0")
	if linkErr == nil && !strings.Contains(link, " master docker0 ") {
		linkErr = fmt.Errorf("%s: br0 is not in docker0: %s", h.Name, link)
	}
	return errors.Join(err, linkErr)
}
