package mesh

import (
	"slices"
	"strings"
	"testing"

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
