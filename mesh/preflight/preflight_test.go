package preflight

import (
	"context"
	"testing"
)

func TestErrorListsWhatTimeDoesNotMend(t *testing.T) {
	check := func(f *Finding) Check { return func(context.Context) *Finding { return f } }
	ovs := &Finding{What: "Open vSwitch does not answer", Do: "systemctl start openvswitch-switch", Heals: true}
	nft := &Finding{What: "nft is not installed", Do: "apt install nftables"}
	docker := &Finding{What: "Docker is not installed", Do: "apt install docker.io"}

	if all := Run(t.Context(), check(nil), check(nil)); len(all) != 0 || Error(all) != nil {
		t.Errorf("a host that has everything: %v", all)
	}
	if all := Run(t.Context(), check(ovs)); len(all) != 1 || Error(all) != nil {
		t.Errorf("a service that may still start: %v, %v", all, Error(all))
	}
	all := Run(t.Context(), check(ovs), check(nft), check(nil), check(docker))
	const want = `this host lacks what gremesh needs; nothing was changed:
  nft is not installed: apt install nftables
  Docker is not installed: apt install docker.io`
	if err := Error(all); len(all) != 3 || err == nil || err.Error() != want {
		t.Errorf("%v: %v", all, err)
	}
}
