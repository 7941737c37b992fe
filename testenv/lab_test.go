package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

func TestHostsReachEachOtherOnTheUnderlay(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3})
	eachPair(t, l, reaches)
	for _, h := range l.Hosts() {
		out, err := h.Exec(t.Context(), "ovs-vsctl", "list-br")
		if os.Getenv("TESTENV_DATAPATH") == "system" {
			continue
		}
		if err != nil || out != "br-phy\n" {
			t.Errorf("%s: bridges %q, %v", h.Name, out, err)
		}
		diagnosis := h.Diagnosis(t.Context())
		for _, want := range []string{"Bridge br-phy", h.Addr.String() + "/24", "10.90.0.0/24 dev br-phy"} {
			if !strings.Contains(diagnosis, want) {
				t.Errorf("the diagnosis of %s lacks %q:\n%s", h.Name, want, diagnosis)
			}
		}
	}
}

func TestTwoLabsLiveSideBySide(t *testing.T) {
	t.Parallel()
	testenv.Require(t, false)
	var wg sync.WaitGroup
	labs := make([]*testenv.Lab, 2)
	for i := range labs {
		wg.Go(func() {
			l, err := testenv.New(t.Context(), testenv.Config{Hosts: 2})
			if err != nil {
				t.Error(err)
				return
			}
			labs[i] = l
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	// Same addresses, other hosts: the end of one lab is nothing to the other.
	if err := labs[0].Close(); err != nil {
		t.Error(err)
	}
	eachPair(t, labs[1], reaches)
	if err := labs[1].Close(); err != nil {
		t.Error(err)
	}
	for _, l := range labs {
		if err := remains(l.Dir); err != nil {
			t.Error(err)
		}
	}
}

func TestUnderlayIsCutAndHealed(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 3})
	ctx := t.Context()
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	eachPair(t, l, reaches)

	must(t, l.Partition(ctx, []*testenv.Host{h1}))
	eachPair(t, l, func(from, to *testenv.Host) error {
		if from == h1 || to == h1 {
			return reachesNot(from, to)
		}
		return reaches(from, to)
	})
	must(t, l.Heal(ctx))
	eachPair(t, l, reaches)

	// One way: h2 has h1's request and answers in vain; h1's answers to h2 are
	// lost as well, as is all that goes from h2 to h1.
	received := icmpIn(t, h2)
	must(t, l.Cut(ctx, h2, h1))
	must(t, reachesNot(h1, h2))
	if icmpIn(t, h2) == received {
		t.Error("h2 received nothing from h1: cut both ways")
	}
	must(t, reaches(h1, h3))
	must(t, l.Heal(ctx))

	must(t, h3.UnderlayDown(ctx))
	must(t, reachesNot(h1, h3))
	must(t, h3.UnderlayUp(ctx))
	eachPair(t, l, reaches)
}

func TestOVSComesBackAfterACrash(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 2})
	ctx := t.Context()
	h1, h2 := l.Host(1), l.Host(2)

	must(t, h1.KillVswitchd(ctx))
	if os.Getenv("TESTENV_DATAPATH") != "system" {
		must(t, reachesNot(h2, h1)) // br-phy, which holds the NIC, is in ovs-vswitchd
	}
	must(t, h1.StartVswitchd(ctx))
	eachPair(t, l, reaches)

	must(t, h1.StopOVS(ctx))
	if _, err := h1.Exec(ctx, "ovs-vsctl", "--timeout=1", "show"); err == nil {
		t.Error("a stopped ovsdb-server answers")
	}
	must(t, h1.WipeOVS())
	must(t, h1.StartOVS(ctx))
	eachPair(t, l, reaches)
}

func TestAgentIsStartedStoppedAndKilled(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "gremesh")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\n"+
		"trap 'exit 7' TERM\necho \"$@\"\nwhile :; do sleep 0.05; done\n"), 0o755))
	l := testenv.Start(t, testenv.Config{Hosts: 1, Binary: script})
	ctx := t.Context()
	h := l.Host(1)

	printed := func(times int) func() error {
		return func() error {
			log, err := h.AgentLog()
			if err == nil && strings.Count(log, "agent --config "+h.ConfigFile()+"\n") != times {
				err = fmt.Errorf("the log is %q", log)
			}
			return err
		}
	}
	must(t, h.StartAgent(ctx))
	testenv.Eventually(t, 10*time.Second, printed(1))
	if err := h.StopAgent(ctx, syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("an agent that exits with 7: %v", err)
	}
	must(t, h.StartAgent(ctx))
	testenv.Eventually(t, 10*time.Second, printed(2))
	must(t, h.KillAgent(ctx))
	must(t, h.StartAgent(ctx)) // left to Close
}

func TestConfigurationIsWrittenBySection(t *testing.T) {
	t.Parallel()
	l := testenv.Start(t, testenv.Config{Hosts: 1})
	h := l.Host(1)
	must(t, h.WriteConfig(map[string]any{"mesh.bootstrap": true, "prefix": 26}))
	got, err := os.ReadFile(h.ConfigFile())
	must(t, err)
	want := strings.ReplaceAll(`control: DIR/h1/gremesh.sock
docker:
    daemon_json: DIR/h1/daemon.json
    restart: never
    socket: unix://DIR/h1/docker/docker.sock
mesh:
    bootstrap: true
    key_file: DIR/key
node:
    advertise: 10.90.0.1
    name: h1
ovs:
    datapath: netdev
    db: unix:DIR/h1/ovs/db.sock
pool: 172.17.0.0/16
prefix: 26
state_dir: DIR/h1/state
`, "DIR", l.Dir)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func reaches(from, to *testenv.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return testenv.Until(ctx, func() error { return from.Ping(ctx, "", to.Addr, 0) })
}

func reachesNot(from, to *testenv.Host) error {
	if err := from.Ping(context.Background(), "", to.Addr, 0); err == nil {
		return fmt.Errorf("%s reaches %s", from.Name, to.Name)
	}
	return nil
}

// eachPair calls f for all ordered pairs of different hosts.
func eachPair(t *testing.T, l *testenv.Lab, f func(from, to *testenv.Host) error) {
	t.Helper()
	must(t, l.Each(func(from *testenv.Host) error {
		var errs []error
		for _, to := range l.Hosts() {
			if to != from {
				errs = append(errs, f(from, to))
			}
		}
		return errors.Join(errs...)
	}))
}

// icmpIn is the kernel's count of ICMP messages that the host has received.
func icmpIn(t *testing.T, h *testenv.Host) string {
	t.Helper()
	out, err := h.Exec(t.Context(), "sh", "-c", "awk '/^IcmpMsg/ {print}' /proc/net/snmp")
	must(t, err)
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
