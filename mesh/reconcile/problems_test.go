package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestAProblemIsHiddenWhileItsCauseIsPresent(t *testing.T) {
	down := Problem{Code: "GM-OVS-DOWN"}
	tunnel := Problem{Code: "GM-TUNNEL-DOWN", Object: "h2", DependsOn: []string{"GM-OVS-DOWN"}}
	if got := codes(visible([]Problem{tunnel, down})); !slices.Equal(got, []string{"GM-OVS-DOWN"}) {
		t.Errorf("with the cause: %q", got)
	}
	other := tunnel
	other.Object = "h1"
	if got := visible([]Problem{tunnel, other, tunnel}); len(got) != 2 || got[0].Object != "h1" {
		t.Errorf("without the cause: %+v", got)
	}
}

func TestAProblemKeepsItsDateWhileItsFiguresChange(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := date([]Problem{{Code: "GM-PATH-LOSS", Object: "h2", Summary: "10 % are lost"}}, nil, began)
	now := date([]Problem{
		{Code: "GM-PATH-LOSS", Object: "h2", Summary: "20 % are lost"}, {Code: "GM-PATH-LOSS", Object: "h3"},
	}, before, began.Add(time.Hour))
	if !now[0].Since.Equal(began) || !now[1].Since.Equal(began.Add(time.Hour)) {
		t.Errorf("they exist since %s and %s", now[0].Since, now[1].Since)
	}
}

type remedied struct{}

func (remedied) Error() string { return "Open vSwitch does not answer" }
func (remedied) Problem() Problem {
	return Problem{Code: "GM-OVS-DOWN", Remedy: "systemctl start openvswitch-switch"}
}

func TestAnErrorMaySayItselfWhatToDo(t *testing.T) {
	if p := failure("ovs", fmt.Errorf("observe ovs: %w", remedied{})); p.Code != "GM-OVS-DOWN" || p.Remedy == "" {
		t.Errorf("an error with a problem: %+v", p)
	}
	if p := failure("ovs", errors.New("broken")); p.Code != "GM-OVS-FAILED" || p.Summary != "broken" || p.Remedy == "" {
		t.Errorf("an error without: %+v", p)
	}
}
