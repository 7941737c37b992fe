package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// TestAdoptingWhatWasMadeByHand has three hosts of the recipe, one with the
// names that gremesh would choose and two with others, that talk a hundred times
// a second from before the agents start.
func TestAdoptingWhatWasMadeByHand(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 3})
	ctx, h1, h2, h3 := t.Context(), l.Host(1), l.Host(2), l.Host(3)
	noRaces(t, l)
	must(t, l.Recipe(ctx))
	for _, h := range l.Hosts() { // as examples/recipe.md has it
		run(t, h, "ip", "link", "set", "br0", "mtu", "1462")
		run(t, h, "ip", "link", "set", "docker0", "address", bridge.MAC(h.RecipeBip().Addr()).String())
	}
	renamed(t, h1, h2, h3)
	renamed(t, h2, h3, h1)
	// One host alone: three would make a storm.
	run(t, h1, "ovs-vsctl", "set", "port", "gre1", "protected=false", "--", "set", "port", "gre2", "protected=false")

	names := map[*testenv.Host][]string{}
	for _, h := range l.Hosts() {
		var err error
		names[h], err = ports(ctx, h)
		must(t, err)
	}
	staying := []*pinger{keepPingingFast(t, h1, h2.RecipeBip().Addr()), keepPingingFast(t, h2, h1.RecipeBip().Addr())}
	leaving := []*pinger{keepPingingFast(t, h1, h3.RecipeBip().Addr()), keepPingingFast(t, h3, h1.RecipeBip().Addr())}

	must(t, l.Form(nil))
	must(t, l.StartAgents(ctx))
	testenv.Eventually(t, soon, func() error {
		return errors.Join(
			problem(ctx, h1, "port gre1: not protected", "ovs-vsctl set port gre1 protected=true"),
			problem(ctx, h1, "port gre43", "not gremesh's", "gremesh adopt"),
			problem(ctx, h3, "port gre42", "not gremesh's", "gremesh adopt"))
	})
	if key := setting(t, h2, "tunnel.key"); key != "none" {
		t.Errorf("the mesh has the key %s, and the tunnels that were there have none", key)
	}
	audited(t, h1, 1, "port gre1: is not protected", "ovs-vsctl set port gre1 protected=true")
	if err := problem(ctx, h2, "not protected"); err == nil {
		t.Error("the ports of h2 are protected, and it says that they are not")
	}
	for _, h := range l.Hosts() {
		if now, err := ports(ctx, h); err != nil || !slices.Equal(now, names[h]) {
			t.Errorf("%s has the ports %s before they are adopted, and had %s: %v", h.Name, now, names[h], err)
		}
	}

	testenv.Eventually(t, soon, func() error { // the others are known
		if a := adoption(t, h1, "--yes"); len(a.Ports) != 2 || len(a.Left) != 0 {
			return fmt.Errorf("adopted %+v", a)
		}
		return nil
	})
	testenv.Eventually(t, soon, func() error {
		if problem(ctx, h1, "not protected") == nil {
			return errors.New("adopted ports are not protected")
		}
		return nil
	})
	// Between h2 and h3 packets may have gone through h1, which let them, until
	// its ports were protected.
	leaving = append(leaving, keepPingingFast(t, h2, h3.RecipeBip().Addr()), keepPingingFast(t, h3, h2.RecipeBip().Addr()))
	outlives(t, 2*time.Second, func() error { return hasPort(ctx, h1, "gre1", true) }) // with one end adopted
	for _, h := range []*testenv.Host{h2, h3} {
		if a := adoption(t, h, "--yes"); len(a.Ports) != 2 || len(a.Left) != 0 {
			t.Errorf("%s: adopted %+v", h.Name, a)
		}
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return meshed(ctx, l.Hosts()...) })
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		if now, err := ports(ctx, h); err != nil || !slices.Equal(now, names[h]) {
			t.Errorf("%s has the ports %s, and had %s: %v", h.Name, now, names[h], err)
		}
		noProblems(t, h)
	}
	if out, err := h1.Gremesh(ctx, "adopt"); err != nil || !strings.HasPrefix(out, "nothing to adopt") {
		t.Errorf("once more: %v\n%s", err, out)
	}
	sent := 0
	for _, p := range leaving {
		p.uninterrupted(t)
		_, last := p.seen(t)
		sent += last
	}

	_, err := h3.Gremesh(ctx, "leave")
	must(t, err)
	testenv.Eventually(t, soon, func() error {
		return errors.Join(hasPort(ctx, h1, "gre2", false), hasPort(ctx, h2, "gre1", false))
	})
	if left, err := ports(ctx, h3); err != nil || len(left) > 0 {
		t.Errorf("ports of a host that has left: %s, %v", left, err)
	}
	for _, p := range staying {
		p.uninterrupted(t)
		_, last := p.seen(t)
		sent += last
	}
	t.Logf("%d pings", sent)
}

// renamed makes the ports of a host anew as the recipe's commands do: gre1 and
// gre2, protected, without BFD.
func renamed(t *testing.T, h *testenv.Host, to ...*testenv.Host) {
	t.Helper()
	old, err := ports(t.Context(), h)
	must(t, err)
	for _, name := range old {
		run(t, h, "ovs-vsctl", "del-port", "br0", name)
	}
	for i, peer := range to {
		name := fmt.Sprintf("gre%d", i+1)
		run(t, h, "ovs-vsctl", "add-port", "br0", name, "--", "set", "interface", name, "type=gre",
			"options:remote_ip="+peer.Addr.String(), "--", "set", "port", name, "protected=true")
	}
}

func adoption(t *testing.T, h *testenv.Host, flags ...string) (a mesh.Adoption) {
	t.Helper()
	out, err := h.Gremesh(t.Context(), append([]string{"adopt", "-o", "json"}, flags...)...)
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &a))
	return a
}

// fast is the interval of pings that are to show a short outage.
const fast = 10 * time.Millisecond

// uninterrupted ends the pings and fails the test if more than two in a row, 20
// ms, had no reply (in a guest: 100 ms). Open vSwitch can lose a packet whenever a
// port's configuration changes; a port that is created again loses far more.
func (p *pinger) uninterrupted(t *testing.T) {
	t.Helper()
	p.more(t)
	p.stop()
	text, err := os.ReadFile(p.replies)
	must(t, err)
	before, tolerated := 0, int(testenv.Patience(2*fast)/fast)
	for _, found := range reply.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(found[1]))
		must(t, err)
		switch lost := n - before - 1; {
		case before == 0: // the first reply
		case lost > tolerated:
			t.Errorf("pings %d to %d were lost", before+1, n-1)
		case lost > 0:
			t.Logf("%d pings were lost after number %d", lost, before)
		}
		before = n
	}
}

// keepPingingFast pings from docker0 to docker0, a hundred times a second.
func keepPingingFast(t *testing.T, from *testenv.Host, to netip.Addr) *pinger {
	t.Helper()
	dir := t.TempDir()
	testenv.Eventually(t, soon, func() error { return from.Ping(t.Context(), "", to, 0) })
	p := &pinger{replies: filepath.Join(dir, from.Name+to.String()+"out")}
	p.stop = background(t, from, p.replies, filepath.Join(dir, "err"), "ping", "-D", "-n", "-i", fmt.Sprint(fast.Seconds()), to.String())
	p.more(t)
	return p
}
