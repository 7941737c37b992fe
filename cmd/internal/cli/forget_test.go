package cli

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

func TestForgetAsksAboutTheHostThatIsMeant(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f := mesh.Forgotten{
		ID: "5414c3d415a635a2d11c38f03bcac332", Name: "h3", Underlay: netip.MustParseAddr("192.0.2.3"),
		Subnet: netip.MustParsePrefix("172.17.44.0/24"), LastSeen: now.Add(-2 * time.Hour),
	}
	for how, also := range map[mesh.ForgetHow]string{
		mesh.ForgetAgreed: "on every host if a majority agrees",
		mesh.ForgetForced: "two hosts then have the same addresses",
		mesh.ForgetPurge:  "will be erased",
	} {
		got := forgetQuestion(f, how, now)
		for _, want := range []string{"h3 (5414c3d4) at 192.0.2.3", "172.17.44.0/24", "last seen 2 hours ago", also} {
			if !strings.Contains(got, want) {
				t.Errorf("%q does not say %q", got, want)
			}
		}
	}
	f.LastSeen, f.Subnet = time.Time{}, netip.Prefix{}
	if got := forgetQuestion(f, mesh.ForgetPurge, now); !strings.Contains(got, "no subnet, never seen by this host") {
		t.Errorf("got %q", got)
	}
}
