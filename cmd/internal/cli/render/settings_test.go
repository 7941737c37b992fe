package render

import (
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

func testSettings() mesh.SettingList {
	record := settings.Record{Version: 3, Writer: lease.ID{1}, Values: settings.Values{}.With(
		settings.Pool.Is(settings.Pool.Of(nil)), settings.Prefix.Is(24), settings.TunnelType.Is("gre"),
		settings.TunnelKey.Is(11259375), settings.Value{Key: "zz.later", Text: "on"})}
	return mesh.ListSettings(record, "h1", []settings.Pin{
		{Value: settings.TunnelType.Is("vxlan"), Where: "/etc/gremesh/gremesh.yaml"},
		{Value: settings.Prefix.Is(24), Where: "the environment variable GREMESH_PREFIX"},
	})
}

func TestSettingsReadWell(t *testing.T) {
	golden(t, "config_show.txt", Settings(testSettings(), false))
	golden(t, "config_set.txt", ChangedSettings(testSettings(), []settings.Value{{Key: "tunnel.key", Text: "random"}, {Key: "tunnel.type", Text: "gre"}}))
}
