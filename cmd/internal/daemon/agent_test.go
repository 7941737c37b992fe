package daemon

import (
	"errors"
	"testing"
)

// The agent is asked a second time while it ends.
func TestAgentLeavesOnce(t *testing.T) {
	failed := errors.New("failed")
	for _, test := range []struct {
		first, second bool // release
		err, want     error
	}{
		{false, false, nil, nil},
		{true, false, nil, nil},
		{true, true, nil, nil},
		{false, true, nil, errKeepsSubnet},
		{false, true, failed, failed},
		{true, true, failed, failed},
	} {
		a := &agent{left: make(chan struct{}), leaveErr: test.err, released: test.first}
		a.ending.Store(true)
		a.leaving.Store(true)
		close(a.left)
		if err := a.leave(t.Context(), test.second); !errors.Is(err, test.want) {
			t.Errorf("left with release %t and error %v, asked again with release %t: %v, want %v", test.first, test.err, test.second, err, test.want)
		}
	}
}
