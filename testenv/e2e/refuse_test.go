package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestRefusals has a mesh of two, and a third host that does not go with it.
func TestRefusals(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	noRaces(t, l)
	must(t, l.Form(nil))
	must(t, h1.StartAgent(ctx))
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h2) })

	otherKey := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(otherKey, []byte(run(t, h1, "gremesh", "keygen")+"\n"), 0o600))
	for _, c := range []struct {
		name     string
		settings map[string]any
		says     []string // the refused host's last words
		told     []string // what the mesh tells; nothing where the host asks no one
	}{
		{
			"a pool that holds the underlay",
			map[string]any{"pool": "10.90.0.0/16"},
			[]string{"10.90.0.3", "pool"}, nil,
		}, {
			"another pool",
			map[string]any{"pool": "172.18.0.0/16"},
			[]string{"pool is 172.17.0.0/16 there and 172.18.0.0/16 here"},
			[]string{"10.90.0.3", "pool is 172.18.0.0/16 there and 172.17.0.0/16 here"},
		}, {
			"another prefix",
			map[string]any{"prefix": 25},
			[]string{"prefix is 24 there and 25 here"},
			[]string{"10.90.0.3", "prefix is 25 there and 24 here"},
		}, {
			"another gossip key",
			map[string]any{"mesh.key_file": otherKey},
			[]string{"mesh.key_file"},
			[]string{"10.90.0.3", "another key", "mesh.key_file"},
		}, {
			"no gossip key",
			map[string]any{"mesh.key_file": "", "mesh.insecure": true},
			[]string{"mesh.insecure"},
			[]string{"10.90.0.3", "another key", "mesh.insecure"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, join(h3, h1, c.settings))
			refused(t, h3, c.says...)
			if c.told != nil {
				testenv.Eventually(t, soon, func() error { return problem(ctx, h1, c.told...) })
			}
		})
	}

	t.Run("a pool that overlaps a route", func(t *testing.T) {
		run(t, h3, "ip", "route", "add", "172.17.99.0/24", "via", h1.Addr.String())
		must(t, join(h3, h1, nil))
		refused(t, h3, "172.17.99.0/24", underlayDevice(), "choose another pool")
		run(t, h3, "ip", "route", "del", "172.17.99.0/24")
	})

	t.Run("a cloned disk", func(t *testing.T) {
		must(t, os.RemoveAll(h3.Dir+"/state"))
		must(t, os.CopyFS(h3.Dir+"/state", os.DirFS(h2.Dir+"/state")))
		must(t, join(h3, h1, nil))
		refused(t, h3, "in use at "+h2.Addr.String(), "gremesh reset-identity")
		testenv.Eventually(t, soon, func() error { return problem(ctx, h2, h3.Addr.String(), "cloned") })
		must(t, meshed(ctx, h1, h2))
		must(t, os.RemoveAll(h3.Dir+"/state"))
	})

	t.Run("a second agent", func(t *testing.T) {
		before := machine(t, h1)
		out, err := h1.Gremesh(ctx, "agent")
		if err == nil || !containsAll(err.Error(), "another gremesh agent", h1.Dir+"/state") {
			t.Errorf("two agents with one state: %v\n%s", err, out)
		}
		out, err = h1.Exec(ctx, "env", "GREMESH_STATE_DIR="+t.TempDir(), "gremesh", "agent", "--config", h1.ConfigFile())
		if err == nil || !containsAll(err.Error(), "another agent answers", h1.Dir+"/gremesh.sock") {
			t.Errorf("two agents with one socket: %v\n%s", err, out)
		}
		unchanged(t, h1, before)
		must(t, meshed(ctx, h1, h2))
	})

	// Nothing of it lasts. One file was copied to all hosts: this one has no
	// state, and finds the mesh without a seed.
	t.Run("a copied mesh.bootstrap", func(t *testing.T) {
		must(t, h3.WriteConfig(map[string]any{"mesh.bootstrap": true}))
		must(t, h3.StartAgent(ctx))
		whole(t, l)
		must(t, logs(h3, "join the mesh on this network; create none"))
		must(t, join(h3, h1, nil))
	})

	t.Run("a disk cloned in a partition", func(t *testing.T) { clonedInAPartition(t, l) })
}

// clonedInAPartition starts a copy of the second host's disk where it can't be
// told from the original.
func clonedInAPartition(t *testing.T, l *testenv.Lab) {
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	run(t, h3, "gremesh", "leave", "--release", "--config", h3.ConfigFile())
	must(t, h3.WaitAgent(ctx))
	must(t, os.RemoveAll(h3.Dir+"/state"))
	must(t, os.CopyFS(h3.Dir+"/state", os.DirFS(h2.Dir+"/state")))
	original, bips := status(t, h2).Host, written(t, h2)

	must(t, l.Partition(ctx, []*testenv.Host{h3}))
	must(t, h3.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error {
		s, err := h3.Status(ctx)
		if err == nil && (s.Host.ID != original.ID || s.Host.Subnet != original.Subnet) {
			err = fmt.Errorf("the copy is %+v", s.Host)
		}
		return err
	})
	must(t, l.Heal(ctx))
	ended, cancel := context.WithTimeoutCause(ctx, soon, fmt.Errorf("the copy still runs after %s", soon))
	defer cancel()
	if exit := (*exec.ExitError)(nil); !errors.As(h3.WaitAgent(ended), &exit) {
		t.Fatal("the copy did not end with an error")
	}
	testenv.Eventually(t, soon, func() error { return logs(h3, "in use at "+h2.Addr.String(), "gremesh reset-identity") })
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h2) })

	run(t, h3, "gremesh", "reset-identity", "--yes", "--config", h3.ConfigFile())
	must(t, h3.StartAgent(ctx))
	whole(t, l)
	if now := status(t, h3).Host; now.ID == original.ID || now.Subnet == original.Subnet {
		t.Errorf("the copy is still %+v", now)
	}
	if now := status(t, h2).Host; now.ID != original.ID || !slices.Equal(written(t, h2), bips) {
		t.Errorf("the original was %+v and is %+v; it has written %s", original, now, written(t, h2))
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
}

// join writes the configuration of a host that is to join another.
func join(h, seed *testenv.Host, settings map[string]any) error {
	all := map[string]any{"mesh.join": []string{seed.Addr.String()}}
	for key, value := range settings {
		all[key] = value
	}
	return h.WriteConfig(all)
}

// refused tells that an agent ends by itself with an error that has these
// words, and has touched nothing.
func refused(t *testing.T, h *testenv.Host, words ...string) {
	t.Helper()
	before := machine(t, h)
	printed, _ := h.AgentLog() // there is none before the first agent
	must(t, h.StartAgent(t.Context()))
	ctx, cancel := context.WithTimeoutCause(t.Context(), testenv.Patience(soon), fmt.Errorf("the agent of %s still runs after %s", h.Name, soon))
	defer cancel()
	if exit := (*exec.ExitError)(nil); !errors.As(h.WaitAgent(ctx), &exit) {
		t.Fatalf("the agent of %s did not end with an error", h.Name)
	}
	all, err := h.AgentLog()
	must(t, err)
	if said := all[len(printed):]; !containsAll(said, words...) {
		t.Errorf("the agent does not say %q:\n%s", words, said)
	}
	unchanged(t, h, before)
}
