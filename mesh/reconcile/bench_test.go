package reconcile

import (
	"log/slog"
	"strconv"
	"testing"
)

func BenchmarkPassWithoutChanges(b *testing.B) {
	m := newMachine()
	e := newEngine(b, options(b, m, newSource(wish{"a": {"x": "1"}}), newFake(m, "a"), newFake(m, "b", "a"), newFake(m, "c", "b")))
	e.Reconcile(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		e.Reconcile(b.Context())
	}
}

// Each peer is one of 1,000 objects of each of three components.
func BenchmarkOneMoreOfAThousandPeers(b *testing.B) {
	m := newMachine()
	want := wish{"a": {}, "b": {}, "c": {}}
	for _, values := range want {
		for i := range 1000 {
			values[strconv.Itoa(i)] = "1"
		}
	}
	src := newSource(want)
	opts := options(b, m, src, newFake(m, "a"), newFake(m, "b", "a"), newFake(m, "c", "b"))
	opts.Log = slog.New(slog.DiscardHandler)
	e := newEngine(b, opts)
	e.Reconcile(b.Context())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.taken()
		next := wish{"a": want["a"], "b": want["b"], "c": want["c"]}
		for _, values := range next {
			if values["new"] == "" {
				values["new"] = "1"
			} else {
				delete(values, "new")
			}
		}
		src.set(&next)
		e.Reconcile(b.Context())
	}
}
