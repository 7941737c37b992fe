package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestMTU has a router that takes less than the hosts' NICs, towards the subnet
// of the second host alone.
func TestMTU(t *testing.T) {
	l := start(t, testenv.Config{
		Hosts: 3, Docker: true, Outside: true,
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/24"), netip.MustParsePrefix("10.90.1.0/24")},
	})
	must(t, l.RouterMTU(t.Context(), narrow, 1400))
	must(t, l.Form(nil))
	must(t, l.StartAgents(t.Context()))
	noRaces(t, l)
	inTurn(t, l,
		behaviour{"a router of less is found at the start", narrowFromTheStart},
		behaviour{"what it takes passes, and no more", fullSizePasses},
		behaviour{"it takes more, and Docker is not restarted", wideAgain},
		behaviour{"it takes less, and larger packets are answered", narrowAtRunTime},
		behaviour{"the first to be back after a power cut knows what paths take", aloneAfterAPowerCut},
	)
}

var narrow = netip.MustParsePrefix("10.90.1.0/24") // h2's

const (
	wide   = 1500 - 42 // through GRE with a key
	little = 1400 - 42
)

// hasMTU tells what of it is not there yet: on docker0, br0, in daemon.json and
// in status.
func hasMTU(t *testing.T, l *testenv.Lab, mtu int) {
	t.Helper()
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			s, err := h.Status(t.Context())
			if err != nil {
				return err
			}
			if s.Host.MTU != mtu || (s.Host.MTUBy != "") != (mtu != wide) {
				return fmt.Errorf("%s: the MTU is %d, by %q", h.Name, s.Host.MTU, s.Host.MTUBy)
			}
			for _, dev := range []string{"docker0", "br0"} {
				link, err := h.Exec(t.Context(), "ip", "-o", "link", "show", dev)
				if err != nil {
					return err
				}
				if !strings.Contains(link, fmt.Sprintf(" mtu %d ", mtu)) {
					return fmt.Errorf("%s: want MTU %d: %s", h.Name, mtu, link)
				}
			}
			json, err := h.Exec(t.Context(), "cat", h.DaemonJSON())
			if err == nil && !strings.Contains(json, fmt.Sprintf(`"mtu": %d`, mtu)) {
				err = fmt.Errorf("%s: want mtu %d: %s", h.Name, mtu, json)
			}
			return err
		})
	}
}

func narrowFromTheStart(t *testing.T, l *testenv.Lab) {
	hasMTU(t, l, little)
	whole(t, l)
	if by := status(t, l.Host(1)).Host.MTUBy; by != "h2" {
		t.Errorf("h1 says that %s has a path of less", by)
	}
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
		// They were started at once, and Docker is restarted but once.
		testenv.Eventually(t, soon, func() error {
			if found := problems(t, h); len(found) > 0 {
				return fmt.Errorf("%s has problems: %+v", h.Name, found)
			}
			return nil
		})
		must(t, serve(t.Context(), h))
	}
}

// fullSizePasses pings with DF set between all containers.
func fullSizePasses(t *testing.T, l *testenv.Lab) {
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
	for _, h := range l.Hosts() {
		in := inContainer(t, h, "c1")
		for _, other := range l.Hosts() {
			if other == h {
				continue
			}
			to := container(t, other, "c1").Addr
			must(t, df(t, h, in, to, little))
			if df(t, h, in, to, little+1) == nil {
				t.Errorf("%s to %s: more than %d bytes pass", h.Name, to, little)
			}
		}
	}
}

// df pings with so many bytes, which may not be fragmented.
func df(t *testing.T, h *testenv.Host, in []string, to netip.Addr, size int) error {
	t.Helper()
	_, err := h.Exec(t.Context(), append(in, "ping", "-n", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(size-28), to.String())...)
	return err
}

func wideAgain(t *testing.T, l *testenv.Lab) {
	dockerds := make(map[string]string)
	for _, h := range l.Hosts() {
		dockerds[h.Name] = run(t, h, "docker", "ps", "-q")
	}
	must(t, l.RouterMTU(t.Context(), narrow, 0))
	restartAgents(t, l, l.Hosts()...) // measured at the start, and else every five minutes
	hasMTU(t, l, wide)
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			return problem(t.Context(), h, fmt.Sprint("MTU has become ", wide), fmt.Sprint(little), "restart Docker")
		})
		if now := run(t, h, "docker", "ps", "-q"); now != dockerds[h.Name] {
			t.Errorf("%s: the containers were %s and are %s", h.Name, dockerds[h.Name], now)
		}
		run(t, h, h.DockerScript(), "restart")
		run(t, h, "docker", "rm", "-f", "c1", "c2")
		must(t, serve(t.Context(), h))
		testenv.Eventually(t, soon, func() error {
			if found := problems(t, h); len(found) > 0 {
				return fmt.Errorf("%s: problems remain: %+v", h.Name, found)
			}
			return nil
		})
	}
}

// narrowAtRunTime is noticed by what the router says of the tunnels' packets.
func narrowAtRunTime(t *testing.T, l *testenv.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	in, to := inContainer(t, h1, "c1"), container(t, h2, "c1").Addr
	must(t, df(t, h1, in, to, wide))
	must(t, l.RouterMTU(t.Context(), narrow, 1400))
	testenv.Eventually(t, soon, func() error {
		if df(t, h1, in, to, wide) == nil {
			return errors.New("the router takes it")
		}
		if mtu := status(t, h1).Host.MTU; mtu != little {
			return fmt.Errorf("the MTU is %d", mtu)
		}
		return nil
	})
	hasMTU(t, l, little)
	for _, h := range l.Hosts() {
		testenv.Eventually(t, soon, func() error {
			return problem(t.Context(), h, fmt.Sprint("MTU has become ", little), fmt.Sprint(wide), "fragmentation needed")
		})
		testenv.Eventually(t, soon, func() error { return auditExit(t, h, 0) })
	}
	// The container's MTU is what it was, and docker0 tells it.
	out, err := h1.Exec(t.Context(), append(in, "ping", "-n", "-c1", "-W2", "-M", "do", "-s", fmt.Sprint(wide-28), to.String())...)
	if text := fmt.Sprint(out, err); !strings.Contains(text, fmt.Sprintf("mtu = %d", little)) && !strings.Contains(text, fmt.Sprintf("mtu=%d", little)) {
		t.Errorf("docker0 says nothing of its MTU: %s", text)
	}
	must(t, df(t, h1, in, to, little))
	eachPair(t, l, func(from, to testenv.End) { must(t, fetch(t.Context(), from, to, soon)) })
}

// aloneAfterAPowerCut has all agents end at once, and one come back.
func aloneAfterAPowerCut(t *testing.T, l *testenv.Lab) {
	ctx, h1 := t.Context(), l.Host(1)
	testenv.Eventually(t, soon, func() error { // within a second of the measurement
		state, err := os.ReadFile(h1.Dir + "/state/state.json")
		if err == nil && !regexp.MustCompile(`"path": *1400\b`).Match(state) {
			err = fmt.Errorf("%s has not kept what its path takes: %s", h1.Name, state)
		}
		return err
	})
	must(t, l.Each(func(h *testenv.Host) error { return h.KillAgent(ctx) }))
	began := time.Now()
	must(t, h1.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error {
		s, err := h1.Status(ctx)
		if err == nil && (s.Mesh.Failed != 2 || s.Host.MTU != little) {
			err = fmt.Errorf("%s: %+v, %+v", h1.Name, s.Host, s.Mesh)
		}
		return err
	})
	testenv.Eventually(t, soon, func() error { return auditExit(t, h1, 0) })
	for _, h := range l.Hosts()[1:] {
		must(t, h.StartAgent(ctx))
	}
	hasMTU(t, l, little)
	for _, change := range recent(t, h1, began) {
		if strings.Contains(change.Object, "mtu") {
			t.Errorf("%s was changed meanwhile: %+v", h1.Name, change)
		}
	}
}
