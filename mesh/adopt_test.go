package mesh

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/ovsdb"
)

// byHand is a world in which the tunnels were made by hand, without protection.
func byHand(peers ...Host) *world {
	w := planned(peers...)
	for i, p := range w.ovs.Ports {
		name := "hand" + p.Name
		w.ovs.Ports[i] = ovsdb.Port{
			Tunnel: ovsdb.Tunnel{Name: name, Type: p.Type, Remote: p.Remote}, Bridge: "br0", Interfaces: []string{name}, OfPort: p.OfPort,
		}
	}
	return w
}

func TestPortsMadeByHandAreLeftAloneUntilTheyAreAdopted(t *testing.T) {
	w := byHand(testHost(2), testHost(3))
	l := w.loop()
	pass(t, l)
	if len(w.applied) > 0 {
		t.Errorf("applied %v", w.applied)
	}
	for _, words := range []string{"port handgre43: not protected", "which is not gremesh's, is a gre tunnel to 192.168.248.140 already"} {
		if !w.says(l, words) {
			t.Errorf("status does not say %q", words)
		}
	}
	audit, err := json.Marshal(l.Audit(t.Context()).Drift)
	if err != nil || !strings.Contains(string(audit), `protected (ovs-vsctl set port handgre43 protected=true)`) {
		t.Errorf("audit: %s, %v", audit, err)
	}

	ask := func(method string) Adoption {
		t.Helper()
		answer := httptest.NewRecorder()
		Control{Loop: l}.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, "/v1/adopt", nil))
		var adoption Adoption
		if err := json.Unmarshal(answer.Body.Bytes(), &adoption); err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%d %s: %v", answer.Code, answer.Body, err)
		}
		return adoption
	}
	if would := ask("GET"); len(would.Ports) != 2 || len(w.applied) > 0 {
		t.Errorf("would adopt %+v, applied %v", would, w.applied)
	}
	if did := ask("POST"); len(did.Ports) != 2 || strings.Join(w.applied, " ") != "switch" {
		t.Errorf("adopted %+v, applied %v", did, w.applied)
	}
	if n := strings.Count(w.log.String(), "object=\"port handgre"); n != 2 {
		t.Errorf("%d changes recorded:\n%s", n, w.log.String())
	}
	if again := ask("POST"); len(again.Ports) > 0 || len(w.applied) != 1 {
		t.Errorf("adopted again: %+v, applied %v", again, w.applied)
	}
}

func TestAnAdoptedPortCountsAsItsPeersTunnel(t *testing.T) {
	w := planned(testHost(2))
	w.ovs.Ports[0].Name, w.ovs.Ports[0].Interfaces, w.ovs.Ports[0].Adopted = "hand1", []string{"hand1"}, true
	l := w.loop()
	if pass(t, l); len(w.applied) > 0 || w.reported != (TunnelCount{Up: 1, Want: 1}) {
		t.Errorf("applied %v, reported %+v", w.applied, w.reported)
	}
	if tunnel := l.Status(t.Context()).Peers[0].Tunnel; tunnel.Port != "hand1" || tunnel.BFD != "up" {
		t.Errorf("%+v", tunnel)
	}
}

func TestWithoutALeaseNothingCanBeAdopted(t *testing.T) {
	w := byHand(testHost(2))
	w.view.Self.Subnet, w.view.Waiting = netip.Prefix{}, "claims"
	if _, err := w.loop().Adopt(t.Context()); err == nil || len(w.applied) > 0 {
		t.Errorf("%v, applied %v", err, w.applied)
	}
}
