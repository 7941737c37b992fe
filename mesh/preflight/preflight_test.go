package preflight

import (
	"context"
	"testing"
)

func TestErrorListsWhatIsNotTolerable(t *testing.T) {
	check := func(all ...Finding) Check { return func(context.Context) []Finding { return all } }
	ovs := Finding{What: "Open vSwitch does not answer", Do: "systemctl start openvswitch-switch", Tolerable: true}
	nft := Finding{What: "nft is not installed", Do: "apt install nftables"}
	docker := Finding{What: "Docker is not installed", Do: "apt install docker.io"}
	vpn := Finding{What: "pool 172.17.0.0/16 lies inside 172.16.0.0/12 (device tun0)", Tolerable: true}
	route := Finding{What: "pool 172.17.0.0/16 contains 172.17.9.0/24 (device eth1)", Do: "remove the route"}

	if all := Run(t.Context(), check(), check()); len(all) != 0 || Error(all) != nil {
		t.Errorf("a host that has everything: %v", all)
	}
	if all := Run(t.Context(), check(ovs), check(vpn)); len(all) != 2 || Error(all) != nil {
		t.Errorf("a service that may still start: %v, %v", all, Error(all))
	}
	all := Run(t.Context(), check(ovs), check(nft), check(), check(docker), check(vpn, route))
	const want = `this host is not ready for gremesh; nothing was changed:
  nft is not installed: apt install nftables
  Docker is not installed: apt install docker.io
  pool 172.17.0.0/16 contains 172.17.9.0/24 (device eth1): remove the route`
	if err := Error(all); len(all) != 5 || err == nil || err.Error() != want {
		t.Errorf("%v: %v", all, err)
	}
	if vpn.String() != vpn.What {
		t.Errorf("a finding without a remedy: %q", vpn)
	}
}
