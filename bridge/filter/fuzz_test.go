package filter

import (
	"slices"
	"strings"
	"testing"
)

// FuzzSave: whatever iptables-save prints, it is judged, and nothing of it is
// made up.
func FuzzSave(f *testing.F) {
	f.Add(":FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD ! -i docker0 -o docker0 -j DROP\n" +
		"-A DOCKER-USER -i docker0 -m comment --comment \"not -j ACCEPT\" -j DROP\n-A DOCKER-USER -p tcp -m tcp --dport 80 -g OTHER\n")
	f.Add(":FORWARD DROP\n-A FORWARD -j FORWARD\n-A FORWARD -j FORWARD\n-A FORWARD -j FORWARD\n-A FORWARD -j FORWARD\n-A FORWARD -j ACCEPT !")
	f.Fuzz(func(t *testing.T, text string) {
		chains := parseSave([]byte(text))
		for name, c := range chains {
			for _, rule := range c.Rules {
				if !strings.Contains(text, rule) {
					t.Errorf("chain %q has the rule %q, which was not listed", name, rule)
				}
			}
			foreign, at := insertPosition(c.Rules)
			if at < 0 || at > len(foreign) {
				t.Errorf("rules belong at %d of %d", at, len(foreign))
			}
		}
		judgeable(t, State{Filters: []Filter{{Tool: "iptables-nft", Chains: chains}}})
	})
}

// FuzzNative: whatever nft lists of another program's table, it is judged.
func FuzzNative(f *testing.F) {
	f.Add([]byte(`{"nftables":[{"chain":{"family":"inet","table":"fw","name":"forward","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"drop"}},`+
		`{"rule":{"family":"inet","table":"fw","chain":"forward","handle":4,"expr":[{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","new"]}},{"accept":null}]}},`+
		`{"rule":{"family":"inet","table":"fw","chain":"forward","handle":5,"expr":[{"match":{"op":"!=","left":{"meta":{"key":"iifname"}},"right":{"set":["docker*",{"range":["a","b"]}]}}},{"jump":{"target":"forward"}}]}},`+
		`{"rule":{"family":"inet","table":"fw","chain":"forward","handle":6,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":{"prefix":{"addr":"172.16.0.0","len":12}}}},{"drop":null}]}}]}`),
		"table inet fw {\n\tchain forward {\n\t\tip saddr 172.16.0.0/12 drop # handle 6\n")
	f.Fuzz(func(t *testing.T, list []byte, text string) {
		judgeable(t, State{Native: []Native{{Family: "inet", Name: "fw", JSON: list, Text: text}}})
	})
}

func judgeable(t *testing.T, have State) {
	for _, o := range Blockers(wanted(), have) {
		if strings.TrimSpace(o.String()) == "" {
			t.Errorf("an obstacle without words: %+v", o)
		}
	}
}

// FuzzListing: a listing is that of one of our tables only if that table, with
// the rules found, is listed so.
func FuzzListing(f *testing.F) {
	f.Add("table ip gremesh {\n\tset peers {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1,\n\t\t\t     10.0.0.2 }\n\t}\n\tchain c {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		listing := parseListing(text)
		if is, ok := natTable(wanted()).found(listing); ok && !slices.Equal(is.lines(), listing) {
			t.Errorf("%q is taken for %q", listing, is.lines())
		}
		for _, line := range listing {
			if line == "" || strings.Join(strings.Fields(line), " ") != line {
				t.Errorf("line %q is no line of a listing", line)
			}
		}
	})
}
