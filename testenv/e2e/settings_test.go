package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/testenv"
)

// TestMeshSettings changes the settings of a mesh while its hosts talk.
func TestMeshSettings(t *testing.T) {
	l := startMesh(t, testenv.Config{Hosts: 3, Pool: netip.MustParsePrefix("10.42.0.0/16"), Prefix: 25}, nil)
	inTurn(t, l,
		behaviour{"a new mesh has a random key", newMeshHasAKey},
		behaviour{"another key takes less than a second", keyChanges},
		behaviour{"another type takes less than a second", typeChanges},
		behaviour{"a host that was away takes the settings", awayTakesSettings},
		behaviour{"without a key the MTU is larger", keyIsRemoved},
		behaviour{"a pinned value is a problem", pinnedValueIsAProblem},
		behaviour{"what cannot change is rejected", poolIsRejected},
		behaviour{"a joiner that pins no pool takes that of the mesh", joinerTakesThePool},
	)
}

// setting is the value of a key that counts on a host.
func setting(t *testing.T, h *testenv.Host, key string) string {
	t.Helper()
	out, err := h.Gremesh(t.Context(), "config", "get", key)
	must(t, err)
	return strings.TrimSpace(out)
}

// configure sets settings of the mesh on one host.
func configure(t *testing.T, h *testenv.Host, pairs ...string) {
	t.Helper()
	_, err := h.Gremesh(t.Context(), append([]string{"config", "set"}, pairs...)...)
	must(t, err)
}

// reconfigure sets settings of the mesh and waits until all hosts have what follows
// from them.
func reconfigure(t *testing.T, l *testenv.Lab, by *testenv.Host, pairs ...string) {
	t.Helper()
	configure(t, by, pairs...)
	version := status(t, by).Mesh.SettingsVersion
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			if got := status(t, h).Mesh.SettingsVersion; got != version {
				return fmt.Errorf("%s has settings of version %d, want %d", h.Name, got, version)
			}
			return auditExit(t, h, 0)
		})
	}
	whole(t, l)
}

// tunnelsAre waits until all tunnel ports of all hosts have a type and a key (none:
// no key) and are up.
func tunnelsAre(t *testing.T, l *testenv.Lab, kind, key string) {
	t.Helper()
	if key == "none" {
		key = ""
	}
	testenv.Eventually(t, soon, func() error {
		for _, h := range l.Hosts() {
			names, err := ports(t.Context(), h)
			if err != nil {
				return err
			}
			if len(names) != len(l.Hosts())-1 {
				return fmt.Errorf("%s has the ports %s", h.Name, names)
			}
			for _, name := range names {
				out, err := h.Exec(t.Context(), "ovs-vsctl", "--if-exists", "get", "interface", name, "type", "options:key")
				if err != nil {
					return err
				}
				if has := strings.Join(strings.Fields(strings.ReplaceAll(out, `"`, "")), " "); has != strings.TrimSpace(kind+" "+key) {
					return fmt.Errorf("%s: port %s is %q, want %s with key %q", h.Name, name, has, kind, key)
				}
			}
		}
		return meshed(t.Context(), l.Hosts()...)
	})
}

func newMeshHasAKey(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	key := setting(t, h1, "tunnel.key")
	if n, err := strconv.Atoi(key); err != nil || n < 1 || n >= 1<<24 {
		t.Fatalf("the key is %q", key)
	}
	tunnelsAre(t, l, "gre", key)
	out, err := h1.Gremesh(t.Context(), "status")
	must(t, err)
	if !containsAll(out, "gre, with a key") || strings.Contains(out, key) {
		t.Errorf("status:\n%s", out)
	}
	if s := status(t, h1); s.Host.MTU != 1458 || !s.Mesh.Tunnel.Keyed || s.Mesh.SettingsVersion != 1 {
		t.Errorf("%+v", s)
	}
}

// pairsTalk pings between all pairs, every 20 ms. The end reports the longest time
// that one of them had no reply.
func pairsTalk(t *testing.T, l *testenv.Lab) (end func() time.Duration) {
	const every = 20 * time.Millisecond
	t.Helper()
	dir := t.TempDir()
	var all []*pinger
	for i, from := range l.Hosts() {
		for _, to := range l.Hosts()[i+1:] {
			file := filepath.Join(dir, from.Name+to.Name)
			p := &pinger{replies: file}
			p.stop = background(t, from, file, file+".err", "ping", "-n", "-i", fmt.Sprint(every.Seconds()),
				"-I", status(t, from).Host.Bip.Addr().String(), status(t, to).Host.Bip.Addr().String())
			p.more(t)
			all = append(all, p)
		}
	}
	return func() (longest time.Duration) {
		t.Helper()
		for _, p := range all {
			p.more(t)
			p.stop()
			text, err := os.ReadFile(p.replies)
			must(t, err)
			before := 0
			for _, found := range reply.FindAllSubmatch(text, -1) {
				n, err := strconv.Atoi(string(found[1]))
				must(t, err)
				if before > 0 {
					longest = max(longest, time.Duration(n-before-1)*every)
				}
				before = n
			}
		}
		return longest
	}
}

// changesWithin changes settings, and fails the test if a pair of hosts cannot talk
// for more than a second meanwhile.
func changesWithin(t *testing.T, l *testenv.Lab, by *testenv.Host, pairs ...string) {
	t.Helper()
	end := pairsTalk(t, l)
	configure(t, by, pairs...)
	tunnelsAre(t, l, setting(t, by, "tunnel.type"), setting(t, by, "tunnel.key"))
	outage := end()
	t.Logf("%s: the longest outage of a pair is %s", strings.Join(pairs, " "), outage)
	if outage > testenv.Patience(time.Second) {
		t.Error("that is too long")
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		noProblems(t, h)
	}
}

func keyChanges(t *testing.T, l *testenv.Lab) {
	was := setting(t, l.Host(1), "tunnel.key")
	changesWithin(t, l, l.Host(2), "tunnel.key", "random")
	if is := setting(t, l.Host(1), "tunnel.key"); is == was || is == "none" {
		t.Errorf("the key was %s and is %s", was, is)
	}
	if err := logs(l.Host(3), "the mesh settings have changed", "tunnel.key"); err != nil {
		t.Error(err)
	}
}

func typeChanges(t *testing.T, l *testenv.Lab) {
	changesWithin(t, l, l.Host(3), "tunnel.type", "vxlan")
	if mtu := status(t, l.Host(1)).Host.MTU; mtu != 1450 {
		t.Errorf("the MTU is %d", mtu)
	}
	changesWithin(t, l, l.Host(1), "tunnel.type", "gre", "tunnel.fallback", "vxlan", "tunnel.key", "random")
	// What is there is a fallback now, and no reason to stay with it.
	changesWithin(t, l, l.Host(2), "tunnel.type", "vxlan", "tunnel.fallback", "gre")
	changesWithin(t, l, l.Host(1), "tunnel.type", "gre", "tunnel.fallback", "none")
}

func awayTakesSettings(t *testing.T, l *testenv.Lab) {
	h1, h3 := l.Host(1), l.Host(3)
	must(t, h3.StopAgent(t.Context(), syscall.SIGTERM))
	configure(t, h1, "tunnel.key", "4711")
	must(t, h3.StartAgent(t.Context()))
	tunnelsAre(t, l, "gre", "4711")
}

func keyIsRemoved(t *testing.T, l *testenv.Lab) {
	changesWithin(t, l, l.Host(1), "tunnel.key", "none")
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			out, err := h.Exec(t.Context(), "ip", "-o", "link", "show", "docker0")
			text, errRead := os.ReadFile(h.DaemonJSON())
			if err = errors.Join(err, errRead); err == nil && (!strings.Contains(out, " mtu 1462 ") || !strings.Contains(string(text), `"mtu": 1462`)) {
				err = fmt.Errorf("%s: want MTU 1462: %s\n%s", h.Name, out, text)
			}
			return err
		})
	}
	out, err := l.Host(1).Gremesh(t.Context(), "status")
	must(t, err)
	if !containsAll(out, "gre, no key", "gremesh config set tunnel.key random") {
		t.Errorf("status:\n%s", out)
	}
	changesWithin(t, l, l.Host(1), "tunnel.key", "random")
}

func pinnedValueIsAProblem(t *testing.T, l *testenv.Lab) {
	h1, h3 := l.Host(1), l.Host(3)
	rejoin := func(settings map[string]any) {
		must(t, h3.StopAgent(t.Context(), syscall.SIGTERM))
		must(t, join(h3, h1, settings))
		must(t, h3.StartAgent(t.Context()))
	}
	rejoin(map[string]any{"tunnel.type": "vxlan"})
	testenv.Eventually(t, soon, func() error {
		return problem(t.Context(), h3, "tunnel.type is pinned to vxlan in "+h3.ConfigFile(), "the mesh has gre", "remove tunnel.type", "gremesh config set tunnel.type vxlan")
	})
	testenv.Eventually(t, soon, func() error { return meshedBut(t, h1, h3) })
	var list mesh.SettingList
	out, err := h3.Gremesh(t.Context(), "config", "show", "-o", "json")
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &list))
	if i := slices.IndexFunc(list.Settings, func(s mesh.Setting) bool { return s.Key == "tunnel.type" }); i < 0 ||
		list.Settings[i].Origin != mesh.OriginPinned || list.Settings[i].Value != "vxlan" || list.Settings[i].Mesh != "gre" {
		t.Errorf("%+v", list)
	}
	rejoin(nil)
	tunnelsAre(t, l, "gre", setting(t, h1, "tunnel.key"))
	testenv.Eventually(t, soon, func() error {
		if problem(t.Context(), h3, "pinned") == nil {
			return errors.New("the problem remains")
		}
		return nil
	})
}

// meshedBut tells that a host has let in one whose settings differ.
func meshedBut(t *testing.T, h, other *testenv.Host) error {
	t.Helper()
	if p := peer(status(t, h), other); p.State != "alive" || !p.Subnet.IsValid() {
		return fmt.Errorf("%s: %s is %+v", h.Name, other.Name, p)
	}
	return nil
}

func poolIsRejected(t *testing.T, l *testenv.Lab) {
	h1 := l.Host(1)
	before := setting(t, h1, "pool")
	_, err := h1.Gremesh(t.Context(), "config", "set", "pool", "172.18.0.0/16")
	if err == nil || !containsAll(err.Error(), "cannot change on a running mesh", "gremesh leave --release") {
		t.Errorf("another pool: %v", err)
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	if after := setting(t, h1, "pool"); after != before {
		t.Errorf("the pool was %s and is %s", before, after)
	}
}

// joinerTakesThePool is the last: the third host becomes a new one.
func joinerTakesThePool(t *testing.T, l *testenv.Lab) {
	ctx, h1, h3 := t.Context(), l.Host(1), l.Host(3)
	_, err := h3.Gremesh(ctx, "leave", "--release")
	must(t, err)
	must(t, h3.WaitAgent(ctx))
	must(t, os.RemoveAll(filepath.Join(h3.Dir, "state")))
	must(t, join(h3, h1, map[string]any{"pool": nil, "prefix": nil}))
	must(t, h3.StartAgent(ctx))
	whole(t, l)
	if s := status(t, h3).Host; s.Subnet.Bits() != 25 || !netip.MustParsePrefix("10.42.0.0/16").Contains(s.Subnet.Addr()) {
		t.Errorf("the new host has the subnet %s", s.Subnet)
	}
	if err := problem(ctx, h1, "refused"); err == nil {
		t.Error("the mesh has refused it first")
	}
	must(t, h3.StopAgent(ctx, syscall.SIGTERM))
	must(t, h3.StartAgent(ctx)) // its state says which pool it has
	whole(t, l)
	testenv.Eventually(t, soon, func() error { return auditExit(t, h3, 0) })
}
