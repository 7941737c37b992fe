package mesh

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge"
	"github.com/gremesh/gremesh/bridge/docker"
)

func TestADockerNetworkInsideThePoolIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := planned(testHost(2), testHost(3))
		l := w.loop()
		asked, silent := 0, false
		l.networks.list = func(context.Context) ([]docker.Network, error) {
			if asked++; silent {
				return nil, errors.New("dockerd does not answer")
			}
			return []docker.Network{{Name: "web", Link: "br-0123456789ab"}, {Name: "db", Link: "db0"}}, nil
		}
		pass(t, l)
		if asked != 0 {
			t.Errorf("Docker is asked %d times without an overlap", asked)
		}
		w.kernel.Intruders = []bridge.Route{
			{Dst: testHost(3).Subnet, Link: "br-0123456789ab"},
			{Dst: netip.MustParsePrefix("172.17.250.0/24"), Link: "db0"},
		}
		named := func() {
			t.Helper()
			pass(t, l)
			for _, name := range []string{"web", "db"} {
				if !w.says(l, "the Docker network "+name+", ") && !w.says(l, "the Docker network "+name+" ") {
					t.Errorf("%s is not named: %+v", name, l.Status(t.Context()).Problems)
				}
			}
			for _, d := range l.Audit(t.Context()).Drift {
				if !strings.Contains(d.Should, "docker network rm") || strings.Contains(d.Should, "0123456789ab") {
					t.Errorf("drift: %+v", d)
				}
			}
		}
		named()
		named()
		if asked != 1 {
			t.Errorf("Docker was asked %d times, want once", asked)
		}
		time.Sleep(networksFor)
		silent = true
		if named(); asked != 2 {
			t.Errorf("Docker was asked %d times, want twice", asked)
		}
	})
}
