package settings

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gremesh/gremesh/mesh/lease"
)

// records draws records that often tie in version, writer or both.
func records() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		r := Record{Version: rapid.Uint64Range(0, 3).Draw(t, "version"), Writer: lease.ID{rapid.Byte().Filter(func(b byte) bool { return b < 3 }).Draw(t, "writer")}}
		for _, key := range []string{"a.later.key", "pool", "tunnel.key", "tunnel.type"} {
			if text := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, key); text != "" {
				r.Values = append(r.Values, Value{key, text})
			}
		}
		return r
	})
}

func TestMergeIsALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := records().Draw(t, "a"), records().Draw(t, "b"), records().Draw(t, "c")
		if ab, ba := Merge(a, b), Merge(b, a); ab.Compare(ba) != 0 {
			t.Fatalf("not commutative: %v, %v", ab, ba)
		}
		if l, r := Merge(Merge(a, b), c), Merge(a, Merge(b, c)); l.Compare(r) != 0 {
			t.Fatalf("not associative: %v, %v", l, r)
		}
		if aa := Merge(a, a); aa.Compare(a) != 0 {
			t.Fatalf("not idempotent: %v", aa)
		}
		if !a.IsZero() && !b.IsZero() && (a.Compare(b) == 0) != reflect.DeepEqual(a, b) {
			t.Fatalf("%v and %v compare as %d", a, b, a.Compare(b))
		}
		if (a.Compare(b) == 0) != (b.Compare(a) == 0) || a.Compare(b) != -b.Compare(a) {
			t.Fatal("not an order")
		}
	})
}

func TestHostsThatSawTheSameRecordsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(records().Filter(func(r Record) bool { return !r.IsZero() }), 1, 8).Draw(t, "records")
		other := rapid.Permutation(all).Draw(t, "other order")
		var a, b Record
		for i := range all {
			var err error
			if a, err = Accept(a, all[i]); err != nil {
				t.Fatal(err)
			}
			if b, err = Accept(b, other[i]); err != nil {
				t.Fatal(err)
			}
		}
		if a.Compare(b) != 0 || a.Digest() != b.Digest() {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestAMessageHasABoundedEffect(t *testing.T) {
	known := Record{Version: 5, Values: Values{{"pool", "172.17.0.0/16"}}}
	far := Record{Version: 5 + MaxJump, Values: known.Values}
	for name, c := range map[string]struct {
		known, got Record
		says       string // empty: it is taken
	}{
		"as far as allowed":        {known, far, ""},
		"further":                  {known, Record{Version: far.Version + 1, Values: known.Values}, "too far ahead"},
		"the first that is heard":  {Record{}, Record{Version: MaxVersion, Values: known.Values}, ""},
		"no version left":          {Record{}, Record{Version: MaxVersion + 1, Values: known.Values}, "the highest is"},
		"nothing":                  {known, Record{Version: 6}, "without values"},
		"out of order":             {known, Record{Version: 6, Values: Values{{"b", "1"}, {"a", "1"}}}, "not in order"},
		"a key twice":              {known, Record{Version: 6, Values: Values{{"a", "1"}, {"a", "2"}}}, "not in order"},
		"a key with a control":     {known, Record{Version: 6, Values: Values{{"a\x1b", "1"}}}, "not a key"},
		"a value with a line feed": {known, Record{Version: 6, Values: Values{{"a", "1\n2"}}}, "not a key and a value"},
		"a long value":             {known, Record{Version: 6, Values: Values{{"a", strings.Repeat("x", maxText+1)}}}, "not a key and a value"},
		"too many":                 {known, Record{Version: 6, Values: many(maxValues+1, 1)}, "values: at most"},
		"too large":                {known, Record{Version: 6, Values: many(100, 200)}, "bytes: at most"},
		"an older one":             {known, Record{Version: 4, Values: Values{{"a", "1"}}}, ""},
	} {
		got, err := Accept(c.known, c.got)
		switch {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		case c.says != "" && got.Compare(c.known) != 0:
			t.Errorf("%s: it is refused, and the record is %v", name, got)
		}
	}
}

func many(n, length int) (v Values) {
	for i := range n {
		v = v.With(Value{"k" + strings.Repeat("a", i/26) + string(rune('a'+i%26)), strings.Repeat("x", length)})
	}
	return v
}

func TestWithKeepsOrder(t *testing.T) {
	v := Values{{"b", "1"}}
	w := v.With(Value{"c", "2"}, Value{"a", "3"}, Value{"b", "4"})
	if !slices.Equal(w, Values{{"a", "3"}, {"b", "4"}, {"c", "2"}}) || v[0].Text != "1" {
		t.Errorf("%v, and the original is %v", w, v)
	}
}
