package filter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

// switchState stands for Open vSwitch's state.
type switchState struct {
	userspace bool
	tunnels   []Device
}

func (s switchState) IsUserspace() bool { return s.userspace }

func (s switchState) EachForeignTunnel(f func(string, netip.Addr, string)) {
	for _, d := range s.tunnels {
		f(d.Kind, d.Remote, d.Bridge)
	}
}

func TestRulesAreAdaptedToTheSurroundings(t *testing.T) {
	addr := netip.MustParseAddr
	rules := Rules{Subnet: netip.MustParsePrefix("172.17.42.0/24"), Guard: Guard{
		Port: "br0", Tunnels: []string{"gre"}, Hosts: []netip.Addr{addr("10.90.0.1"), addr("10.90.0.2")},
		Sources: []Source{{MAC: "02:42:ac:11:2b:01", Net: netip.MustParsePrefix("10.90.0.2/32")}},
	}}
	bip := []netip.Prefix{netip.MustParsePrefix("172.17.42.1/24")}
	for name, test := range map[string]struct {
		ovs     *switchState
		pending string // of Docker
		around  Surroundings
		want    string // settled, open, tunnels, others, wild
	}{
		"nothing beside the mesh":          {&switchState{}, "", Surroundings{}, "true false [gre] [] []"},
		"Open vSwitch was never seen":      {nil, "", Surroundings{}, "true false [] [] []"},
		"the userspace datapath":           {&switchState{userspace: true}, "", Surroundings{Devices: []Device{{"gre", addr("10.90.0.9"), ""}}}, "true false [] [] []"},
		"Docker is being restarted":        {&switchState{}, "Docker is being restarted", Surroundings{}, "false false [gre] [] []"},
		"docker0 has the bip all the same": {&switchState{}, "dockerd is starting", Surroundings{Docker0: bip}, "true false [gre] [] []"},
		"a device to another host":         {&switchState{}, "", Surroundings{Devices: []Device{{"gre", addr("10.90.0.9"), ""}, {"vxlan", addr("10.90.0.9"), ""}}}, "true false [gre] [10.90.0.9] []"},
		"a device to a peer":               {&switchState{}, "", Surroundings{Devices: []Device{{"gre", addr("10.90.0.2"), ""}}}, "true false [gre] [] []"},
		"a device from anywhere":           {&switchState{}, "", Surroundings{Devices: []Device{{"vxlan", netip.Addr{}, ""}, {"vxlan", netip.Addr{}, ""}}}, "true false [gre] [] [vxlan]"},
		"a device over IPv6":               {&switchState{}, "", Surroundings{Devices: []Device{{"gre", addr("2001:db8::9"), ""}}}, "true false [gre] [] []"},
		"a host without an agent":          {&switchState{tunnels: []Device{{"gre", addr("10.90.0.9"), "br0"}}}, "", Surroundings{}, "true true [gre] [10.90.0.9] []"},
		"a port by hand to a peer":         {&switchState{tunnels: []Device{{"gre", addr("10.90.0.2"), "br0"}}}, "", Surroundings{}, "true false [gre] [] []"},
		"a port of another bridge":         {&switchState{tunnels: []Device{{"gre", addr("10.90.0.9"), "br1"}}}, "", Surroundings{}, "true false [gre] [10.90.0.9] []"},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := map[string]reconcile.Result{"docker": {State: struct{}{}, Plan: reconcile.Plan{Pending: test.pending}}}
			if test.ovs != nil {
				upstream["ovs"] = reconcile.Result{State: *test.ovs}
			}
			before := slices.Clone(test.around.Devices)
			g := rules.adapted(viewOf(upstream, test.around)).Guard
			if got := fmt.Sprint(g.Settled, g.Open, g.Tunnels, g.Others, g.Wild); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if !slices.Equal(before, test.around.Devices) {
				t.Error("the surroundings were changed")
			}
		})
	}
}

func TestProblemsOfTheFilterHaveCodes(t *testing.T) {
	want := Rules{Pool: netip.MustParsePrefix("172.17.0.0/16"), Quiet: "br0", Guard: Guard{Port: "br0"}}
	for lacks, codes := range map[string]string{
		"ip": "GM-FILTER-NO-NAT", "bridge": "GM-FILTER-BROADCASTS GM-FILTER-SOURCES", "inet": "GM-FILTER-UNGUARDED", "": "",
	} {
		var found []string
		for _, p := range Problems(want, Observation{State: State{MissingFamilies: strings.Fields(lacks)}}) {
			found = append(found, p.Code)
		}
		if got := strings.Join(found, " "); got != codes {
			t.Errorf("without %q: %q, want %q", lacks, got, codes)
		}
	}
	unable := Observation{Unable: errNoNFT}
	if found := Problems(want, unable); len(found) != 1 || found[0].Code != "GM-FILTER-UNABLE" {
		t.Errorf("without nft: %+v", found)
	}
	if p := plan(want, unable, Diff); len(p.Changes) > 0 {
		t.Errorf("without nft there are changes: %+v", p.Changes)
	}
}

func TestTheGateOnlyOpens(t *testing.T) {
	g := &Gate[Rules]{Spec: func(r *Rules) Rules { return *r }}
	want := sample
	have := Observation{State: Listed(want)}
	if p := g.Plan(reconcile.Request[Rules]{Desired: &want}, have); len(p.Changes) > 0 {
		t.Errorf("on a host in order: %+v", p.Changes)
	}
	want.Guard.Hosts = append(slices.Clone(want.Guard.Hosts), netip.MustParseAddr("192.0.2.77"))
	opening := g.Plan(reconcile.Request[Rules]{Desired: &want}, have).Changes
	if len(opening) == 0 || !strings.Contains(opening[0].To, "192.0.2.77") {
		t.Errorf("for a new peer: %+v", opening)
	}
	want.Guard.Hosts = want.Guard.Hosts[:1]
	if p := g.Plan(reconcile.Request[Rules]{Desired: &want}, have); len(p.Changes) > 0 {
		t.Errorf("for a peer that has gone: %+v", p.Changes)
	}
}

// quiet is an Around without changes, or one whose Watch fails.
type quiet struct{ fails error }

func (q quiet) Observe(context.Context) (Surroundings, error) { return Surroundings{}, nil }

func (q quiet) Watch(ctx context.Context, _ func()) error {
	if q.fails != nil {
		return q.fails
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestWatchEndsWithItsContextOrItsSurroundings(t *testing.T) {
	c := &Component[Rules]{Host: New(slog.New(slog.DiscardHandler)), Around: quiet{}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Watch(ctx, func() {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
	broken := errors.New("the connection was lost")
	c.Around = quiet{broken}
	if err := c.Watch(t.Context(), func() {}); !errors.Is(err, broken) {
		t.Errorf("it ended with %v", err)
	}
}

var (
	_ reconcile.Component[Rules] = (*Component[Rules])(nil)
	_ reconcile.Component[Rules] = (*Gate[Rules])(nil)
)

func TestAnEscapedQuoteDoesNotHideTheRestOfARule(t *testing.T) {
	got := splitQuoted(`-A FORWARD -m comment --comment "a \"b c" -j DROP`)
	if n := len(got); n < 2 || got[n-2] != "-j" || got[n-1] != "DROP" {
		t.Errorf("%q", got)
	}
}
