package kernel

import (
	"bytes"
	"testing"
)

func TestLinesAreWhole(t *testing.T) {
	var out bytes.Buffer
	a, b := &lines{to: &out, prefix: "1| "}, &lines{to: &out, prefix: "2| "}
	for _, w := range []struct {
		to   *lines
		text string
	}{{a, "on"}, {b, "two\n\nthr"}, {a, "e\n"}, {b, "ee"}} {
		if n, err := w.to.Write([]byte(w.text)); n != len(w.text) || err != nil {
			t.Errorf("%q: %d, %v", w.text, n, err)
		}
	}
	if err := b.flush(); err != nil || a.flush() != nil {
		t.Error(err)
	}
	if want := "2| two\n2| \n1| one\n2| three\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}
