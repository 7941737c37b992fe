package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tailscale/hujson"
)

var ours = []key{{"bip", `"172.17.42.1/24"`}, {"mtu", "1462"}}

func TestMergeKeepsAllElse(t *testing.T) {
	for _, tt := range []struct{ name, in, out string }{
		{"no file", "", "{\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462\n}\n"},
		{"only spaces", " \n\t\n", "{\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462\n}\n"},
		{"an empty object", "{}", "{\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462\n}"},
		{"one line", `{"debug": true, "hosts": []}`, `{"debug": true, "hosts": [], "bip": "172.17.42.1/24", "mtu": 1462}`},
		{"one key", `{"debug": true}`, `{"debug": true, "bip": "172.17.42.1/24", "mtu": 1462}`},
		{"tight", `{"a":1,"b":2}`, `{"a":1,"b":2,"bip":"172.17.42.1/24","mtu":1462}`},
		{"tabs", "{\n\t\"debug\": true\n}\n", "{\n\t\"debug\": true,\n\t\"bip\": \"172.17.42.1/24\",\n\t\"mtu\": 1462\n}\n"},
		{"four spaces and CRLF", "{\r\n    \"debug\" : true\r\n}\r\n",
			"{\r\n    \"debug\" : true,\r\n    \"bip\": \"172.17.42.1/24\",\r\n    \"mtu\": 1462\r\n}\r\n"},
		{"blank lines between keys", "{\n  \"a\": 1,\n\n  \"b\": 2\n}", "{\n  \"a\": 1,\n\n  \"b\": 2,\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462\n}"},
		{"our keys, in their places", `{"mtu":  9000 , "z": 1, "bip"  :"10.0.0.1/8"}`, `{"mtu":  1462 , "z": 1, "bip"  :"172.17.42.1/24"}`},
		{"a key spelt with an escape", `{"b\u0069p": "10.0.0.1/8", "mtu": 1}`, `{"b\u0069p": "172.17.42.1/24", "mtu": 1462}`},
		{"numbers and strings as written", `{"n": 9007199254740993, "e": 1.50E+2, "s": "\u00e9\/"}`,
			`{"n": 9007199254740993, "e": 1.50E+2, "s": "\u00e9\/", "bip": "172.17.42.1/24", "mtu": 1462}`},
		{"a bridge that says nothing", `{"bridge": "", "mtu": 1}`, `{"bridge": "", "mtu": 1462, "bip": "172.17.42.1/24"}`},
		{"our names deeper down", `{"x": {"bip": 1, "mtu": []}}`, `{"x": {"bip": 1, "mtu": []}, "bip": "172.17.42.1/24", "mtu": 1462}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := merge([]byte(tt.in), ours)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.out {
				t.Errorf("got\n%s\nwant\n%s", got, tt.out)
			}
			check(t, []byte(tt.in), got)
		})
	}
}

func TestMergeRefusesWhatItCannotKeep(t *testing.T) {
	for in, want := range map[string]string{
		"{\n  // why\n  \"debug\": true\n}\n": "line 2, column 3: a comment: dockerd does not start with one",
		"{\"a\": 1 /* one */}":                "line 1, column 9: a comment",
		"{\"a\": 1\n}\n// end\n":              "line 3, column 1: a comment",
		"{\n  \"a\": [1, 2,],\n}":             "line 2, column 14: the comma before it is one too many",
		"{\n  \"a\": 1,\n}":                   "line 3, column 1: the comma before it is one too many",
		"{":                                   "line 1, column 2: ",
		"{\n  \"a\": tru\n}":                  "line 2, column ",
		`{"a": 1} x`:                          "line 1, column 10: ",
		`{"a": 1}{}`:                          "line 1, column 9: ",
		"[]":                                  "line 1, column 1: the file is not a JSON object but []",
		"null":                                "line 1, column 1: the file is not a JSON object but null",
		"\n\"bip\"":                           "line 2, column 1: the file is not a JSON object but ",
		"\xef\xbb\xbf{}":                      "line 1, column 1: a byte order mark",
		"\xff\xfe{\x00}\x00":                  "line 1, column 1: ",
		"{\n  \"bip\": 7}":                    "line 2, column 10: bip must be a string",
		`{"bip": null}`:                       "line 1, column 9: bip must be a string",
		`{"bip": "a", "bip": "b"}`:            `line 1, column 14: key "bip" is there twice`,
		`{"BIP": "172.17.0.1/16"}`:            `line 1, column 2: key "BIP": dockerd knows it as "bip" only`,
		`{"mtu": "1500"}`:                     "line 1, column 9: mtu must be a whole number",
		`{"mtu": 1.5e3}`:                      "line 1, column 9: mtu must be a whole number",
		`{"bridge": "br1"}`:                   "line 1, column 12: dockerd does not start with both bridge and bip",
		`{"default-gateway": "172.17.0.254"}`: "line 1, column 21: dockerd does not start with bip 172.17.42.1/24 and default-gateway 172.17.0.254, which is not of its network: remove default-gateway",
		`{"mtu": {}}`:                         "line 1, column 9: mtu must be a whole number",
		`{"mtu": 99999999999999999999999}`:    "line 1, column 9: mtu must be a whole number",
	} {
		out, err := merge([]byte(in), ours)
		if err == nil {
			t.Errorf("%q became %q", in, out)
		} else if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

// check holds for every merge: the result parses, our keys have our values,
// all other members have the bytes and the order that they had, standard JSON
// stays standard, and a second merge changes nothing.
func check(t *testing.T, in, out []byte) {
	t.Helper()
	if len(bytes.Trim(in, blank)) == 0 {
		in = []byte("{}")
	}
	was, err := hujson.Parse(bytes.Clone(in))
	if err != nil {
		t.Fatalf("accepted %q: %v", in, err)
	}
	is, err := hujson.Parse(bytes.Clone(out))
	if err != nil {
		t.Fatalf("%q became %q: %v", in, out, err)
	}
	if was.IsStandard() && !is.IsStandard() {
		t.Errorf("%q became %q, which dockerd does not read", in, out)
	}
	if json.Valid(in) && !json.Valid(out) {
		t.Errorf("%q became %q, which is not JSON", in, out)
	}
	if a, b := comments(was), comments(is); a != b {
		t.Errorf("%q became %q: comments %q became %q", in, out, a, b)
	}
	others := func(v hujson.Value) string {
		var b strings.Builder
		for _, m := range v.Value.(*hujson.Object).Members {
			if name := m.Name.Value.(hujson.Literal).String(); name != "bip" && name != "mtu" {
				value := hujson.Value{Value: m.Value.Value}
				b.WriteString(string(m.Name.Value.(hujson.Literal)) + ":" + string(value.Pack()) + "\n")
			}
		}
		return b.String()
	}
	if a, b := others(was), others(is); a != b {
		t.Errorf("%q became %q: others were\n%sand are\n%s", in, out, a, b)
	}
	for _, k := range ours {
		if v := is.Find("/" + k.name); v == nil || string(v.Value.(hujson.Literal)) != k.value {
			t.Errorf("%q became %q without %s", in, out, k)
		}
	}
	again, err := merge(out, ours)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("%q became %q, and at a second time %q, %v", in, out, again, err)
	}
}

// comments are the bytes of all comments in order: those that Standardize
// blanks, but for spaces and the trailing commas that it blanks too.
func comments(v hujson.Value) string {
	all := v.Pack()
	standard, err := hujson.Standardize(bytes.Clone(all))
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for i, c := range standard {
		if c != all[i] && all[i] != ',' {
			b.WriteByte(all[i])
		}
	}
	return b.String()
}

func FuzzMerge(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "{ }\n", "null", "[]", "\xef\xbb\xbf{}", "{} {}", `{"bip": "10.0.0.1/8", "bip": 1}`,
		`{"debug": true, "n": 9007199254740993, "x": {"bip": [1, {"mtu": null}]}}`,
		"{\r\n\t\"mtu\": 1500\r\n}\r\n",
		"// head\n{ /* in */ \"a\": 1, // one\n // two\n \"b\": [1,], /* t */ } // tail\n",
		"{\"a\":1//x\n}", "{\"a\":1/*x*/}", "{//x\n}", "{/*x*/}", "{\"a\":1,//x\n}", "{\"a\"/*x*/:/*y*/1/*z*/}",
		`{"b\u0069p": "", "\ud800": "\ud800"}`, "{\"\xff\": \"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		out, err := merge(in, ours)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was written to")
		}
		if err == nil {
			check(t, in, out)
		}
	})
}
