package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// leave takes the third host out, brings it back, and then gives its subnet to
// a host that has been emptied.
func leave(t *testing.T, l *testenv.Lab) {
	h3 := l.Host(3)
	name, bip := port(t, h3), status(t, h3).Host.Bip
	leaves(t, l, h3, name)
	if addr := run(t, h3, "ip", "-o", "-4", "address", "show", "dev", "docker0"); !strings.Contains(addr, " "+bip.String()+" ") {
		t.Errorf("docker0 had %s, which its containers need; now: %s", bip, addr)
	}
	must(t, h3.StartAgent(t.Context()))
	whole(t, l)
	if now := status(t, h3).Host.Bip; now != bip {
		t.Errorf("the host had %s and came back with %s", bip, now)
	}

	leaves(t, l, h3, name, "--release")
	must(t, os.RemoveAll(h3.Dir+"/state"))
	must(t, os.WriteFile(h3.DaemonJSON(), []byte("{}"), 0o644))
	must(t, h3.WriteConfig(map[string]any{"bip": bip.String(), "mesh.join": []string{l.Host(2).Addr.String()}}))
	must(t, h3.StartAgent(t.Context()))
	whole(t, l)
	if now := status(t, h3).Host.Bip; now != bip {
		t.Errorf("a new host wants the released %s, and has %s", bip, now)
	}
}

// leaves tells that a host is gone at once, with all that gremesh made there.
func leaves(t *testing.T, l *testenv.Lab, h *testenv.Host, name string, flags ...string) {
	t.Helper()
	ctx := t.Context()
	out, err := h.Gremesh(ctx, append([]string{"leave"}, flags...)...)
	must(t, err)
	t.Log(strings.TrimSpace(out))
	testenv.Eventually(t, 2*time.Second, func() error {
		return errors.Join(hasPort(ctx, l.Host(1), name, false), hasPort(ctx, l.Host(2), name, false))
	})
	must(t, h.WaitAgent(ctx)) // ended by itself, with 0
	if bridges := run(t, h, "ovs-vsctl", "list-br"); strings.Contains(bridges, "br0") {
		t.Errorf("bridges of a host that has left: %s", bridges)
	}
	if routes := run(t, h, "ip", "route"); strings.Contains(routes, "172.17.0.0/16") {
		t.Errorf("routes of a host that has left:\n%s", routes)
	}
	testenv.Eventually(t, soon, func() error {
		s, err := l.Host(1).Status(ctx)
		if err == nil && (s.Mesh.Hosts != 2 || s.Mesh.TunnelsUp != 2 || peer(s, h).State == "failed") {
			err = fmt.Errorf("after a goodbye: %+v", s)
		}
		return err
	})
}
