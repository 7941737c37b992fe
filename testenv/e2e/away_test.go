package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// agentsAway is longer than it takes gossip to give a host up.
var agentsAway = flag.Duration("away", 20*time.Second, "how long agents are away in the test of that")

// away stops one agent, as for an upgrade, and kills another. Their hosts'
// containers, and the tunnels to them, are nobody's concern meanwhile.
func (r repair) away(t *testing.T) {
	ctx, h1, h2, h3 := t.Context(), r.lab.Host(1), r.lab.Host(2), r.lab.Host(3)
	ports, logged := shown(t, r.lab), changesOf(t, r.lab)
	r.pings.Mark()
	began := time.Now()
	must(t, h2.StopAgent(ctx, syscall.SIGTERM))
	must(t, h3.KillAgent(ctx))
	for _, h := range []*testenv.Host{h2, h3} {
		testenv.Eventually(t, soon, func() error { return isFailed(t, h1, h) })
	}
	outlives(t, *agentsAway-time.Since(began), func() error {
		_, err := r.pings.Lost()
		return err
	})
	if now := shown(t, r.lab); now != ports {
		t.Errorf("the switches were\n%s\nand are\n%s", ports, now)
	}
	must(t, errors.Join(h2.StartAgent(ctx), h3.StartAgent(ctx)))
	whole(t, r.lab)
	r.whole(t)
	sent, err := r.pings.Lost()
	if err != nil {
		t.Error(err)
	}
	t.Logf("agents away for %s: of %d pings none was lost", time.Since(began).Round(time.Second), sent)
	for h, lines := range changesOf(t, r.lab) {
		for _, line := range lines[len(logged[h]):] {
			t.Errorf("%s changed something: %s", h.Name, line)
		}
	}
}

// shown are all switches, without what BFD says.
func shown(t *testing.T, l *testenv.Lab) string {
	t.Helper()
	var all strings.Builder
	for _, h := range l.Hosts() {
		for line := range strings.Lines(run(t, h, "ovs-vsctl", "show")) {
			if !strings.Contains(line, "bfd_status") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

// storm has another program change one thing a hundred times a second.
func (r repair) storm(t *testing.T) {
	const (
		times = 500
		pause = 10 * time.Millisecond
	)
	ctx, h := t.Context(), r.lab.Host(2)
	logged, busy := len(changesOf(t, r.lab)[h]), cpuTime(t, h)
	ip := h.Command(ctx, "ip", "-force", "-batch", "-")
	stdin, err := ip.StdinPipe()
	must(t, err)
	must(t, ip.Start())
	began := time.Now()
	for i := range times {
		<-time.After(pause) // it is the program's, and what the storm is
		_, err := fmt.Fprintf(stdin, "link set docker0 mtu %d\n", 1300+i%2)
		must(t, err)
	}
	testenv.Eventually(t, soon, func() error { return problem(ctx, h, "another program keeps changing link docker0 mtu") })
	must(t, errors.Join(stdin.Close(), ip.Wait()))
	lasted, spent := time.Since(began), cpuTime(t, h)-busy
	r.whole(t)
	made := len(changesOf(t, r.lab)[h]) - logged
	t.Logf("%d changes in %s: the agent made %d and took %s of a processor", times, lasted, made, spent)
	if limit := 20; made > limit {
		t.Errorf("the agent made %d changes, want %d at the most", made, limit)
	}
	if spent > lasted/2 {
		t.Errorf("the agent took %s of a processor in %s", spent, lasted)
	}
}

// cpuTime is what the host's agent has used of the processors: utime and stime
// of proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms.
func cpuTime(t *testing.T, h *testenv.Host) time.Duration {
	t.Helper()
	pid, err := h.AgentPID()
	must(t, err)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	var user, system int64
	_, after, _ := strings.Cut(string(stat), ") ")
	_, err = fmt.Sscan(strings.Join(strings.Fields(after)[11:13], " "), &user, &system)
	must(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}
