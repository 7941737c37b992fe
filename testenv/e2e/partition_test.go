package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// TestMeshOfThreeHostsAndAFourth is about hosts that come, go and lose sight
// of each other; Docker has no part in it.
func TestMeshOfThreeHostsAndAFourth(t *testing.T) {
	l := start(t, testenv.Config{Hosts: 4})
	must(t, l.Form(map[string]any{"flood": "on"}))
	noRaces(t, l)
	three := l.Hosts()[:3]
	for _, h := range three {
		must(t, h.StartAgent(t.Context()))
	}
	testenv.Eventually(t, soon, func() error { return meshed(t.Context(), three...) })
	inTurn(t, l,
		behaviour{"a newcomer without a majority waits", newcomerWithoutAMajorityWaits},
		behaviour{"a fourth joins through the second", fourthJoinsThroughTheSecond},
		behaviour{"a broadcast makes a copy per peer", func(t *testing.T, l *testenv.Lab) { broadcast(t, l, "") }},
		behaviour{"hand damage is mended", handDamageIsMended},
		behaviour{"audit tells what is in the way", auditTellsWhatIsInTheWay},
		behaviour{"garbage does no harm", garbageDoesNoHarm},
		behaviour{"halves find each other again", halvesFindEachOther},
		behaviour{"without seeds hosts find each other from their state", hostsFindEachOtherWithoutSeeds},
	)
}

// newcomerWithoutAMajorityWaits starts the fourth host where it reaches only
// the first of three.
func newcomerWithoutAMajorityWaits(t *testing.T, l *testenv.Lab) {
	ctx, h2, h3, h4 := t.Context(), l.Host(2), l.Host(3), l.Host(4)
	for _, h := range []*testenv.Host{h2, h3} {
		must(t, l.Cut(ctx, h, h4))
		must(t, l.Cut(ctx, h4, h))
	}
	before := machine(t, h4)
	must(t, h4.StartAgent(ctx)) // joins through the first
	waits := func() error {
		s, err := h4.Status(ctx)
		if err == nil && (s.Host.Lease != "waiting" || !containsAll(s.Host.Waiting, h2.Addr.String(), h3.Addr.String())) {
			err = fmt.Errorf("the newcomer's lease is %q: %s", s.Host.Lease, s.Host.Waiting)
		}
		return err
	}
	testenv.Eventually(t, soon, waits)
	outlives(t, 3*time.Second, waits)
	unchanged(t, h4, before)
	must(t, l.Heal(ctx))
	whole(t, l)
	// It leaves for good, so that the next behaviour starts anew.
	run(t, h4, "gremesh", "leave", "--release", "--config", h4.ConfigFile())
	must(t, h4.WaitAgent(ctx))
}

// halvesFindEachOther cuts the mesh in two until each half takes the other for
// failed.
func halvesFindEachOther(t *testing.T, l *testenv.Lab) {
	ctx := t.Context()
	left, right := l.Hosts()[:2], l.Hosts()[2:]
	must(t, l.Partition(ctx, left))
	testenv.Eventually(t, time.Minute, func() error {
		var errs []error
		for _, a := range left {
			for _, b := range right {
				errs = append(errs, isFailed(t, a, b), isFailed(t, b, a))
			}
		}
		return errors.Join(errs...)
	})
	must(t, l.Heal(ctx))
	wholeWithin(t, l, 15*time.Second)
}

// hostsFindEachOtherWithoutSeeds stops the first host, the seed of the second
// and the third, for good. The fourth, whose seed is the second, leaves.
func hostsFindEachOtherWithoutSeeds(t *testing.T, l *testenv.Lab) {
	ctx, h2, h3, h4 := t.Context(), l.Host(2), l.Host(3), l.Host(4)
	run(t, h4, "gremesh", "leave", "--config", h4.ConfigFile())
	must(t, h4.WaitAgent(ctx))
	had := []netip.Prefix{status(t, h2).Host.Subnet, status(t, h3).Host.Subnet}
	for _, h := range l.Hosts()[:3] {
		must(t, h.StopAgent(ctx, syscall.SIGTERM))
	}
	must(t, h2.StartAgent(ctx))
	must(t, h3.StartAgent(ctx))
	testenv.Eventually(t, soon, func() error { return meshed(ctx, h2, h3) })
	for _, h := range []*testenv.Host{h2, h3} { // still there: its data path is
		must(t, isFailed(t, h, l.Host(1)))
	}
	if has := []netip.Prefix{status(t, h2).Host.Subnet, status(t, h3).Host.Subnet}; !slices.Equal(has, had) {
		t.Errorf("the second and the third had %s and have %s", had, has)
	}
}

// machine is all that gremesh may touch on a host.
func machine(t *testing.T, h *testenv.Host) string {
	t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{
		{"ovs-vsctl", "show"},
		{"ip", "-o", "-4", "address"}, // IPv6 ones come about by themselves
		{"ip", "-o", "link"},
		{"ip", "route"},
		{"sh", "-c", "cd /proc/sys/net/ipv4; grep . ip_forward conf/*/send_redirects"},
		{"sh", "-c", "cat " + h.DaemonJSON() + " 2>&1 || true"},
	} {
		all.WriteString("$ " + strings.Join(argv, " ") + "\n" + run(t, h, argv...) + "\n")
	}
	return all.String()
}

func unchanged(t *testing.T, h *testenv.Host, before string) {
	t.Helper()
	if now := machine(t, h); now != before {
		t.Errorf("%s has been touched: it was\n%s\nand is\n%s", h.Name, before, now)
	}
}
