package cli

import (
	"errors"
	"strings"
	"testing"
)

func TestOnlyYesIsYes(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, "yes\n": nil, "Y\n": nil, "yes \n": nil, "yes": nil,
		"\n": errNotConfirmed, "": errNotConfirmed, "n\n": errNotConfirmed, "yesterday\n": errNotConfirmed,
	} {
		var out strings.Builder
		if err := ask(strings.NewReader(answer), &out, "It will rain."); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if out.String() != "It will rain.\nGo ahead? [y/N] " {
			t.Errorf("asked %q", out.String())
		}
	}
}
