package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/gremesh/gremesh/cmd/internal/exit"
)

func TestEachJoinedErrorHasItsLine(t *testing.T) {
	err := fmt.Errorf("both: %w and %w", errors.New("a"), errors.New("b"))
	got := errorText(exit.Error{Code: exit.Usage, Err: errors.Join(errors.New("one"), errors.Join(err, errors.New("three\n\n\thint")))})
	want := "gremesh: one\ngremesh: both: a and b\ngremesh: three\n\thint\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhoIsNotRootIsToldToBecomeIt(t *testing.T) {
	denied := fmt.Errorf("read the history: %w", fs.ErrPermission)
	for _, c := range []struct {
		err  error
		root bool
		want string
	}{
		{denied, false, "read the history: permission denied: become root"},
		{denied, true, "read the history: permission denied"},
		{fmt.Errorf("%w: become root", denied), false, "read the history: permission denied: become root"},
		{errors.New("no"), false, "no"},
	} {
		if got := withRootHint(c.err, c.root).Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
