package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// TestEightHostsStartedInTheSameInstantTakeDistinctSubnets has hosts that were
// all made from one image: each would like the bip that daemon.json has.
func TestEightHostsStartedInTheSameInstantTakeDistinctSubnets(t *testing.T) {
	const image = "172.17.42.1/24"
	l := start(t, testenv.Config{Hosts: 8})
	noRaces(t, l)
	must(t, l.Form(nil))
	must(t, l.Each(func(h *testenv.Host) error {
		return os.WriteFile(h.DaemonJSON(), fmt.Appendf(nil, `{"bip": %q}`, image), 0o644)
	}))
	must(t, l.StartAgents(t.Context()))
	whole(t, l)

	holder := map[string]string{}
	for _, h := range l.Hosts() {
		applied := written(t, h)
		if now := status(t, h).Host.Bip.String(); !slices.Equal(applied, []string{now}) {
			t.Errorf("%s has %s and has written %s, in turn", h.Name, now, applied)
		}
		for _, bip := range applied {
			if holder[bip] != "" {
				t.Errorf("%s and %s both wrote %s", holder[bip], h.Name, bip)
			}
			holder[bip] = h.Name
		}
	}
	if holder[image] == "" {
		t.Errorf("no host has %s, which all asked for: %s", image, holder)
	}
}

// written are the bips that the host's agents have ever given docker0 or
// written to daemon.json, sorted.
func written(t *testing.T, h *testenv.Host) []string {
	t.Helper()
	log, err := h.AgentLog()
	must(t, err)
	var bips []string
	for line := range strings.Lines(log) {
		var change struct{ Msg, Object, Is string }
		must(t, json.Unmarshal([]byte(line), &change))
		if change.Msg == "changed" && change.Is != "" && (change.Object == "daemon.json bip" || change.Object == "address of docker0") {
			bips = append(bips, change.Is)
		}
	}
	slices.Sort(bips)
	return slices.Compact(bips)
}

// TestHostThatWasSetUpByHandKeepsItsAddresses has three ways in which a host
// may have got them.
func TestHostThatWasSetUpByHandKeepsItsAddresses(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	noRaces(t, l)
	must(t, l.Form(nil))
	run(t, h1, "ip", "link", "add", "docker0", "type", "bridge")
	run(t, h1, "ip", "address", "add", "172.17.41.1/24", "dev", "docker0")
	must(t, os.WriteFile(h2.DaemonJSON(), []byte(`{"bip": "172.17.42.1/24"}`), 0o644))
	flannel := filepath.Join(h3.Dir, "subnet.env")
	must(t, os.WriteFile(flannel, []byte("FLANNEL_NETWORK=172.17.0.0/16\nFLANNEL_SUBNET=172.17.43.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n"), 0o644))
	must(t, join(h3, h1, map[string]any{"lease_import": flannel}))
	for _, h := range l.Hosts() { // one after the other: what each wants is free
		must(t, h.StartAgent(ctx))
		testenv.Eventually(t, soon, func() error {
			if s, err := h.Status(ctx); err != nil || s.Host.Lease != "held" {
				return errors.Join(err, fmt.Errorf("the lease of %s is %q: %s", h.Name, s.Host.Lease, s.Host.Waiting))
			}
			return nil
		})
	}
	whole(t, l)
	if now := subnets(t, l); now != "172.17.41.0/24 172.17.42.0/24 172.17.43.0/24" {
		t.Errorf("the hosts have %s", now)
	}
}

// TestExhaustedPool has subnets for two.
func TestExhaustedPool(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3, Prefix: 17})
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	noRaces(t, l)
	must(t, l.Form(nil))
	must(t, h1.StartAgent(ctx))
	must(t, h2.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h2) })

	words := []string{"exhausted", "172.17.0.0/16", "17", "all 2 subnets"}
	exhausted := func() error {
		s, err := h3.Status(ctx)
		if err == nil && (s.Host.Lease != "waiting" || !containsAll(s.Host.Waiting, words...)) {
			err = fmt.Errorf("the lease of %s is %q: %s", h3.Name, s.Host.Lease, s.Host.Waiting)
		}
		return err
	}
	before := machine(t, h3)
	must(t, h3.StartAgent(ctx))
	testenv.Eventually(t, soon, exhausted)
	testenv.Eventually(t, soon, func() error { return logs(h3, append(words, "WARN")...) })
	testenv.Eventually(t, soon, func() error { // it is a member
		s, err := h1.Status(ctx)
		if p := peer(s, h3); err == nil && (s.Mesh.Hosts != 3 || p.State != "alive" || p.Subnet.IsValid()) {
			err = fmt.Errorf("%s counts %+v, and knows %+v", h1.Name, s.Mesh, p)
		}
		return err
	})
	unchanged(t, h3, before)

	run(t, h2, "gremesh", "leave", "--release", "--config", h2.ConfigFile())
	must(t, h2.WaitAgent(ctx))
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h1, h3) })
}
