package bridge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/mesh/reconcile"
)

var settled = reconcile.Result{State: struct{}{}}

// request asks for a host whose upstream is as it should be.
func request(want Spec) reconcile.Request[Spec] {
	return reconcile.Request[Spec]{Desired: &want, Upstream: map[string]reconcile.Result{"ovs": settled, "docker": settled, "filter": settled}}
}

func testComponent() *Component[Spec] {
	return &Component[Spec]{Kernel: New(Config{Bridge: "docker0", Port: "br0"}), Bridge: "docker0", Spec: func(h *Spec) Spec { return *h }}
}

func changeKeys(p reconcile.Plan) string {
	var words []string
	for _, c := range p.Changes {
		words = append(words, c.Key.String())
	}
	return strings.Join(words, "; ")
}

func TestAForeignAddressStaysWhileDockerIsNotSettled(t *testing.T) {
	have := clean()
	have.Addrs = prefixes("172.17.99.1/24")
	req := request(want)
	req.Upstream["docker"] = reconcile.Result{State: struct{}{}, Plan: reconcile.Plan{Pending: "Docker is restarting"}}
	p := testComponent().Plan(req, have)
	if got := changeKeys(p); strings.Contains(got, KindAddress) || !strings.Contains(got, "link br0 master") || p.Pending == "" {
		t.Errorf("the plan is %q, pending %q", got, p.Pending)
	}
	req.Upstream["docker"] = settled
	if got := changeKeys(testComponent().Plan(req, have)); !strings.Contains(got, KindAddress) {
		t.Errorf("once Docker is settled, the plan is %q", got)
	}
}

func TestADeviceThatOpenVSwitchIsAboutToMakeIsPlannedFor(t *testing.T) {
	have := clean()
	have.OVSPort = Link{}
	req := request(want)
	if got := changeKeys(testComponent().Plan(req, have)); strings.Contains(got, "br0") {
		t.Errorf("without br0 the plan is %q", got)
	}
	bridge := reconcile.Key{Component: "ovs", Kind: "bridge", Name: "br0"}
	req.Upstream["ovs"] = reconcile.Result{State: struct{}{}, Plan: reconcile.Plan{Changes: []reconcile.Change{{Key: bridge, To: "standalone"}}}}
	p := testComponent().Plan(req, have)
	i := slices.IndexFunc(p.Changes, func(c reconcile.Change) bool { return c.Key.String() == "link br0 master" })
	if i < 0 || !slices.Contains(p.Changes[i].Needs, bridge) {
		t.Errorf("with br0 planned, the plan is %q: %+v", changeKeys(p), p.Changes)
	}
}

func TestRoutesNeedTheAddressAndEverythingNeedsTheDevice(t *testing.T) {
	have := clean()
	have.Addrs, have.Routes = nil, nil
	for _, c := range testComponent().Plan(request(want), have).Changes {
		needs := slices.ContainsFunc(c.Needs, func(k reconcile.Key) bool { return k.Kind == KindAddress })
		if needs != (c.Key.Kind == "route") {
			t.Errorf("%s needs the address: %t", c.Key, needs)
		}
	}
	for _, c := range testComponent().Plan(request(want), State{}).Changes {
		needs := slices.ContainsFunc(c.Needs, func(k reconcile.Key) bool { return k.String() == "link docker0" })
		if needs == (c.Key.String() == "link docker0") {
			t.Errorf("%s needs docker0: %t", c.Key, needs)
		}
	}
}

func TestProblemsOfTheKernelHaveCodes(t *testing.T) {
	want := want
	want.Unmasked = "eth0"
	want.GRE = []GRE{{"h2", netip.MustParseAddr("10.90.0.1"), netip.MustParseAddr("10.90.0.2"), 7}}
	for code, change := range map[string]func(*State){
		"GM-KERNEL-NAME":     func(a *State) { a.ForeignKind = "dummy" },
		"GM-KERNEL-SWITCH":   func(a *State) { a.Switches = []Switch{{Object: "link docker0 stp_state", Is: "1"}} },
		"GM-KERNEL-OVERLAP":  func(a *State) { a.Intruders = []Route{{Dst: netip.MustParsePrefix("172.17.64.0/20"), Link: "eth1"}} },
		"GM-KERNEL-RPFILTER": func(a *State) { a.StrictRPFilter = []string{"eth0"} },
		"GM-KERNEL-GRETAP": func(a *State) {
			a.Gretaps = []Gretap{{Name: "gretap1", Remote: netip.MustParseAddr("10.90.0.2"), Keyed: true, Key: 7}}
		},
	} {
		have := clean()
		if found := testComponent().Plan(request(want), have).Problems; len(found) > 0 {
			t.Fatalf("a clean host has problems: %+v", found)
		}
		change(&have)
		found := testComponent().Plan(request(want), have).Problems
		if len(found) != 1 || found[0].Code != code || found[0].Summary == "" || found[0].Object == "" {
			t.Errorf("%s: %+v", code, found)
		}
	}
}

func TestExplainNamesWhatBecameOfDocker0(t *testing.T) {
	snapshot := func(change func(*State)) reconcile.Snapshot[Spec] {
		have := clean()
		change(&have)
		return reconcile.Snapshot[Spec]{Desired: &want, State: have}
	}
	prev := snapshot(func(*State) {})
	for _, test := range []struct {
		change func(*State)
		key    reconcile.Key
		want   string
	}{
		{func(a *State) { a.Bridge = Link{Name: "docker0"} }, key("route", "172.17.0.0/16", ""), "docker0 was deleted"},
		{func(a *State) { a.Bridge.Index++ }, key("route", "172.17.0.0/16", ""), "docker0 was created again"},
		{func(a *State) { a.Bridge.Up = false }, key("route", "172.17.0.0/16", ""), "docker0 was taken down"},
		{func(a *State) { a.Addrs = nil }, key(KindAddress, "docker0", ""), "(172.17.42.1/24 -> none)"},
		{func(a *State) { a.Bridge.Index++ }, key("sysctl", "net.ipv4.ip_forward", ""), ""},
		{func(a *State) { a.OVSPort.Index++ }, key("link", "br0", "master"), "br0 was created again"},
		{func(a *State) { a.OVSPort.Index++ }, key("link", "br0", "mtu"), "br0 was created again"},
		{func(*State) {}, key("route", "172.17.0.0/16", ""), ""},
	} {
		got, ok := testComponent().Explain(prev, snapshot(test.change), reconcile.Change{Key: test.key})
		if ok != (test.want != "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.key, got, test.want)
		}
	}
}

func TestComponentOriginalLeadsBack(t *testing.T) {
	c := testComponent()
	was := clean()
	was.Addrs, was.Bridge.MTU, was.OVSPort, was.Routes, was.FDB, was.Neighbours = prefixes("172.17.0.1/16"), 1500, Link{}, nil, nil, nil
	original, err := c.Original(was)
	if err != nil {
		t.Fatal(err)
	}
	req := reconcile.Request[Spec]{Upstream: map[string]reconcile.Result{}}
	if got := changeKeys(c.Restore(req, original, clean())); strings.Contains(got, KindAddress) || !strings.Contains(got, "route") {
		t.Errorf("before Docker has its former settings, the plan is %q", got)
	}
	req.Upstream["docker"] = settled
	if got := changeKeys(c.Restore(req, original, clean())); !strings.Contains(got, "address of docker0") || !strings.Contains(got, "link docker0 mtu") {
		t.Errorf("afterwards, the plan is %q", got)
	}
	if p := c.Restore(req, []byte("{"), clean()); len(p.Problems) != 1 || len(p.Changes) > 0 {
		t.Errorf("of garbage: %+v", p)
	}
}

// Docker, or a person, has given docker0 a second network that is wider than the
// pool.
func TestAnAddressOutsideThePoolStays(t *testing.T) {
	have := clean()
	have.Addrs = prefixes("172.17.42.1/24", "172.24.0.1/12")
	if got := changeKeys(testComponent().Plan(request(want), have)); got != "" {
		t.Errorf("the plan is %q", got)
	}
	have.Addrs = prefixes("172.17.42.1/24", "172.17.99.1/24")
	if got := changeKeys(testComponent().Plan(request(want), have)); got != "address of docker0" {
		t.Errorf("with another address of the pool, the plan is %q", got)
	}
}

func TestWhatAnObjectNeedsFirst(t *testing.T) {
	link := func(name, field, is string) Change {
		return change(key("link", name, field), is, "y", setUp{name})
	}
	for name, c := range map[string]struct {
		first Change
		needs map[string]bool // by kind
	}{
		"docker0":             {link("docker0", "", ""), map[string]bool{KindAddress: true, "link": true, "route": true}},
		"docker0's state":     {link("docker0", "state", "x"), map[string]bool{"link": false, "route": true}},
		"docker0's address":   {change(key(KindAddress, "docker0", ""), "x", "y", setUp{"docker0"}), map[string]bool{"link": false, "route": true}},
		"a device that stays": {link("docker0", "", "x"), map[string]bool{"link": false, "route": false}},
	} {
		for kind, want := range c.needs {
			if got := needs(reconcile.Key{Kind: kind, Name: "x"}, c.first); got != want {
				t.Errorf("%s: a %s needs it: %t", name, kind, got)
			}
		}
	}
}
