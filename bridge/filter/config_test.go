package filter

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var byValue = cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})

func prefixes(all ...string) []netip.Prefix {
	out := []netip.Prefix{}
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestParseReadsWhatIPMasqAgentReads(t *testing.T) {
	full := Config{
		NonMasqueradeCIDRs: prefixes("10.0.0.0/8", "192.168.248.0/24", "fd00::/8"),
		CIDRLimit:          3,
		KeepLinkLocal:      true,
		MasqLinkLocalIPv6:  true,
		ResyncInterval:     90 * time.Second,
	}
	for _, tt := range []struct {
		name, text string
		want       Config
	}{
		{"YAML", `
nonMasqueradeCIDRs:
  - 10.0.0.0/8
  - 192.168.248.0/24 # ours
  - "fd00::/8"
cidrLimit: 3
masqLinkLocal: false
masqLinkLocalIPv6: true
resyncInterval: 1m30s
`, full},
		{"JSON", `{"nonMasqueradeCIDRs": ["10.0.0.0/8", "192.168.248.0/24", "fd00::/8"],
 "cidrLimit": 3, "masqLinkLocal": false, "masqLinkLocalIPv6": true, "resyncInterval": "90s"}`, full},
		{"JSON with tabs and escapes", "\n{\n\t\"nonMasqueradeCIDRs\": [\n\t\t\"10.0.0.0\\/8\"\n\t],\n\t\"resyncInterval\":\t\"60s\"\n}\n",
			Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8"), ResyncInterval: time.Minute}},
		{"keys in another case", "nonmasqueradecidrs: [10.0.0.0/8]\nMasqLinkLocal: false",
			Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8"), KeepLinkLocal: true}},
		{"link-local as Docker has it", "masqLinkLocal: true", Config{}},
		{"an empty file", "", Config{}},
		{"nothing but a comment", "# later\n", Config{}},
		{"an empty document", "---\n", Config{}},
		{"an empty object", "{}", Config{}},
		{"null", "null", Config{}},
		{"keys without a value", "nonMasqueradeCIDRs:\nmasqLinkLocal:\nresyncInterval:\ncidrLimit:", Config{}},
		{"an empty list is not the default", "nonMasqueradeCIDRs: []", Config{NonMasqueradeCIDRs: prefixes()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got, byValue); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseSaysWhatIsWrongWhereAndWhatToDo(t *testing.T) {
	for _, tt := range []struct{ name, text, err string }{
		{"host bits", "nonMasqueradeCIDRs:\n- 10.0.0.1/8",
			"line 2: nonMasqueradeCIDRs: 10.0.0.1/8 has bits set behind its length: write 10.0.0.0/8, or a longer length"},
		{"no CIDR", "nonMasqueradeCIDRs: [10.0.0.0, 10.0.0.0/33, '']", `line 1: nonMasqueradeCIDRs: "10.0.0.0" is no CIDR: write one like 10.0.0.0/8
line 1: nonMasqueradeCIDRs: "10.0.0.0/33" is no CIDR: write one like 10.0.0.0/8
line 1: nonMasqueradeCIDRs: "" is no CIDR: write one like 10.0.0.0/8`},
		{"IPv4 in IPv6", "nonMasqueradeCIDRs: ['::ffff:10.0.0.0/104']",
			"line 1: nonMasqueradeCIDRs: ::ffff:10.0.0.0/104 is an IPv4 address written as IPv6: write it as IPv4"},
		{"no list", "nonMasqueradeCIDRs: 10.0.0.0/8", "line 1: nonMasqueradeCIDRs: want a list, like [10.0.0.0/8]"},
		{"a list of lists", "nonMasqueradeCIDRs: [[10.0.0.0/8]]", `line 1: nonMasqueradeCIDRs: "" is no CIDR: write one like 10.0.0.0/8`},
		{"text for a boolean", `masqLinkLocal: "true"`, `line 1: masqLinkLocal: "true" is not allowed: write true or false`},
		{"yes", `masqLinkLocal: yes`, `line 1: masqLinkLocal: "yes" is not allowed: write true or false`},
		{"an interval without a unit", "resyncInterval: 60", `line 1: resyncInterval: "60" is not allowed: write 1s or more, with a unit, like 60s`},
		{"an interval that never rests", "resyncInterval: 10ms", `line 1: resyncInterval: "10ms" is not allowed: write 1s or more, with a unit, like 60s`},
		{"no limit", "cidrLimit: 0", `line 1: cidrLimit: "0" is not allowed: write a number above 0`},
		{"more than the limit", "cidrLimit: 1\nnonMasqueradeCIDRs: [10.0.0.0/8, 172.16.0.0/12]",
			"nonMasqueradeCIDRs: 2 of them, and cidrLimit allows 1: remove some, or raise cidrLimit"},
		{"a mistyped key", "masqLinkLocal: true\nnonMasqeradeCIDRs: []",
			`line 2: unknown key "nonMasqeradeCIDRs": the keys are nonMasqueradeCIDRs, masqLinkLocal, masqLinkLocalIPv6, resyncInterval and cidrLimit`},
		{"a key twice", "masqLinkLocal: true\nmasqlinklocal: false", "line 2: masqlinklocal is there twice: remove one"},
		{"a list", "- 10.0.0.0/8", "line 1: want keys and values, like nonMasqueradeCIDRs: [10.0.0.0/8]"},
		{"two documents", "masqLinkLocal: true\n---\nmasqLinkLocal: false", "there is more behind the first document: remove what begins with ---"},
		{"not YAML", "nonMasqueradeCIDRs: [10.0.0.0/8", "neither YAML nor JSON: yaml: line 1: did not find expected ',' or ']'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if d := cmp.Diff(tt.err, err.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	got := strings.Join(Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8", "0.0.0.0/0", "::/0"), MasqLinkLocalIPv6: true}.Warnings(), "\n")
	want := `nonMasqueradeCIDRs: with 0.0.0.0/0 no traffic is masqueraded: containers reach nothing that has no route back to the pool; remove it, unless all have one
nonMasqueradeCIDRs: ::/0 has no effect: the pool is IPv4
masqLinkLocalIPv6 has no effect: the pool is IPv4`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if w := (Config{NonMasqueradeCIDRs: prefixes("10.0.0.0/8")}).Warnings(); w != nil {
		t.Errorf("warned of nothing: %q", w)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("nonMasqueradeCIDRs: [10.0.0.0/8, 192.168.0.0/16]\nmasqLinkLocal: false\nresyncInterval: 60s")
	f.Add(`{"nonMasqueradeCIDRs": ["10.0.0.0\/8"], "cidrLimit": 3}`)
	f.Add("a: &a [b]\nnonMasqueradeCIDRs: *a\n<<: *a")
	f.Add("---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		if err := c.Check(); err != nil {
			t.Errorf("Parse let pass what Check refuses: %v", err)
		}
		all := Compile(c, netip.MustParsePrefix("172.17.0.0/16"), nil)
		for i, p := range all {
			if p != p.Masked() || !p.Addr().Is4() {
				t.Errorf("%s is no IPv4 network", p)
			}
			if i > 0 && all[i-1].Overlaps(p) {
				t.Errorf("%s and %s overlap", all[i-1], p)
			}
		}
	})
}
