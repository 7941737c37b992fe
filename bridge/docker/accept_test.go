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
		have   State
		should string
		ok     bool
		taken  bool
	}{
		{"iptables, or not known", State{}, "", false, false},
		{"nftables", State{AcceptTakes: true}, ours, true, false},
		{"written", State{AcceptTakes: true, Accept: ours, Written: Values{Accept: ours}}, "", false, false},
		{"the operator's mark", State{AcceptTakes: true, Accept: theirs}, "", false, true},
		{"an older dockerd starts next", State{AcceptRefuses: true, Accept: ours, Written: Values{Accept: ours}}, "", true, false},
		{"the operator's, and an older one", State{AcceptRefuses: true, Accept: theirs}, "", false, false},
	} {
		should, ok := diffAccept(want, tt.have)
		if ok != tt.ok || ok && should != tt.should || AcceptTaken(want, tt.have) != tt.taken {
			t.Errorf("%s: %q, %v, taken %v", tt.name, should, ok, AcceptTaken(want, tt.have))
		}
	}
}
