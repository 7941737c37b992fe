package mesh

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

func TestThePlanHasTheSettingsOfTheMesh(t *testing.T) {
	cfg, view := testConfig(), testView(testHost(2), testHost(3))
	without, _ := Plan(cfg, view, nil)
	view.Settings = settings.Values{}.With(settings.TunnelType.Is("gre"), settings.TunnelKey.Is(7))
	keyed, problems := Plan(cfg, view, nil)
	if t1 := keyed.Switch.Tunnels[0]; t1.Key != 7 || len(problems) > 0 || keyed.Host.MTU != without.Host.MTU-4 || keyed.Docker.MTU != keyed.Host.MTU {
		t.Errorf("%+v, MTU %d without and %d with a key, %+v", t1, without.Host.MTU, keyed.Host.MTU, problems)
	}
	was := plan{view: view, desired: keyed}
	other := view
	other.Settings = view.Settings.With(settings.TunnelType.Is("vxlan"))
	if _, ok := was.replan(cfg, other, nil); ok {
		t.Error("a change of the settings is planned for as if one host had changed")
	}
	if d, _ := Plan(cfg, other, nil); d.Switch.Tunnels[0].Type != "vxlan" || !strings.HasPrefix(d.Switch.Tunnels[0].Name, "vxlan") {
		t.Errorf("%+v", d.Switch.Tunnels[0])
	}
	if sameMesh(view, other) {
		t.Error("views with other settings count as the same")
	}
}

func TestAHostWithoutBFDTakesNoFallback(t *testing.T) {
	cfg, view := testConfig(), testView(testHost(2), testHost(3))
	view.Settings = settings.Values{}.With(settings.TunnelFallback.Is([]string{"vxlan"}))
	cfg.Tunnel.BFD = true
	if got := cfg.in(view).Tunnel.Types(); !slices.Equal(got, []string{"gre", "vxlan"}) {
		t.Errorf("%q", got)
	}
	cfg.Tunnel.BFD = false
	_, problems := Plan(cfg, view, nil)
	if got := cfg.in(view).Tunnel.Types(); !slices.Equal(got, []string{"gre"}) || len(problems) != 1 || !strings.Contains(problems[0].Do, "tunnel.fallback none") {
		t.Errorf("%q, %+v", got, problems)
	}
}

// TestAnotherTypeIsNotTakenForAFallback has a port of a type that was the first one
// until the settings changed.
func TestAnotherTypeIsNotTakenForAFallback(t *testing.T) {
	peer := testHost(2)
	seen := map[lease.ID]sight{peer.ID: {Type: "gre", Made: true, Up: true}}
	now := time.Now()
	f := newFallbacks(TunnelConfig{Type: "vxlan", Fallback: []string{"gre"}, Retry: time.Hour})
	if types, _ := f.decide(now, testHost(1).ID, []Host{peer}, seen); types[peer.ID] != "gre" {
		t.Errorf("an agent that starts decides for %s: what is there was decided before", types[peer.ID])
	}
	f = newFallbacks(TunnelConfig{Type: "vxlan", Fallback: []string{"gre"}, Retry: time.Hour})
	f.anew = true
	if types, _ := f.decide(now, testHost(1).ID, []Host{peer}, seen); types[peer.ID] != "vxlan" {
		t.Errorf("after a change of the settings the pair stays with %s", types[peer.ID])
	}
}
