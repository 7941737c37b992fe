package docker

import (
	"net/netip"
	"testing"
)

func TestTheMarkIsWrittenWhereDockerNeedsIt(t *testing.T) {
	const ours, theirs = "0x20000000/0x20000000", "0x1/0x1"
	want := Settings{Bip: netip.MustParsePrefix("172.17.42.1/24"), Accept: ours}
	for _, tt := range []struct {
		name   string
		have   Actual
		should string
		ok     bool
		taken  bool
	}{
		{"iptables, or not known", Actual{}, "", false, false},
		{"nftables", Actual{AcceptTakes: true}, ours, true, false},
		{"written", Actual{AcceptTakes: true, Accept: ours, Written: Values{Accept: ours}}, "", false, false},
		{"the operator's mark", Actual{AcceptTakes: true, Accept: theirs}, "", false, true},
		{"an older dockerd starts next", Actual{AcceptRefuses: true, Accept: ours, Written: Values{Accept: ours}}, "", true, false},
		{"the operator's, and an older one", Actual{AcceptRefuses: true, Accept: theirs}, "", false, false},
	} {
		should, ok := diffAccept(want, tt.have)
		if ok != tt.ok || ok && should != tt.should || AcceptTaken(want, tt.have) != tt.taken {
			t.Errorf("%s: %q, %v, taken %v", tt.name, should, ok, AcceptTaken(want, tt.have))
		}
	}
}
