package render

import (
	"net/netip"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/drift"
)

func TestUninstallShowsWhatItWillDo(t *testing.T) {
	golden(t, "uninstall.txt", Uninstall(api.UninstallPlan{
		GivesUp: netip.MustParsePrefix("172.17.42.0/24"), State: "/var/lib/gremesh",
		UninstallPlan: mesh.UninstallPlan{
			Changes: []drift.Drift{
				{Object: "link docker0 mtu", Is: "1462", Should: "1500", Commands: []string{"ip link set dev docker0 mtu 1500"}},
				{Object: "bridge br0", Is: "a bridge of gremesh", Commands: []string{"ovs-vsctl del-br br0"}},
				{Object: "daemon.json bip", Is: "172.17.42.1/24"},
			},
			Stays:    []string{"net.ipv4.ip_forward stays 1: dockerd needs it"},
			Problems: []string{"no answer from Open vSwitch"},
		},
	}, false))
	golden(t, "uninstall_nothing.txt", Uninstall(api.UninstallPlan{}, false))
}
