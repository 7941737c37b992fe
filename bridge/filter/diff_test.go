package filter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func wanted() Rules {
	return Rules{
		Pool:          netip.MustParsePrefix("172.17.0.0/16"),
		Subnet:        netip.MustParsePrefix("172.17.42.0/24"),
		NonMasquerade: prefixes("169.254.0.0/16", "172.17.0.0/16", "192.168.248.139/32"),
		Forward:       []Path{{"docker0", "docker0"}},
	}
}

// clean is what the packet filters have when wanted is met.
func clean() State {
	return State{
		Table: natTable(wanted()).listing(),
		Filters: []Filter{{Tool: "iptables-nft", Chains: map[string]Chain{
			"FORWARD": {Policy: "DROP", Rules: []string{
				"-j DOCKER-USER",
				"-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
				"-i docker0 -o docker0 -j ACCEPT",
			}},
			"DOCKER-USER": {Policy: "-", Rules: append(userRules(wanted()), "-j RETURN")},
		}}},
	}
}

func (a *State) user(rules ...string) {
	a.Filters[0].Chains[userChain] = Chain{Policy: "-", Rules: rules}
}

// render prints changes as a runbook: the difference as a comment, then the
// commands.
func render(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString("# " + c.String() + "\n")
		for _, cmd := range c.Commands {
			b.WriteString(cmd + "\n")
		}
	}
	return b.String()
}

const (
	userReturn = "-s 172.17.42.0/24 -d 172.17.42.0/24 -i docker0 -o docker0 -m comment --comment gremesh -j RETURN"
	userAccept = "-s 172.17.0.0/16 -d 172.17.0.0/16 -i docker0 -o docker0 -m comment --comment gremesh -j ACCEPT"
	userAnswer = "-d 172.17.0.0/16 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment gremesh -j ACCEPT"
	rules      = `add chain ip gremesh postrouting { type nat hook postrouting priority 99 ; }; ` +
		`flush chain ip gremesh postrouting; ` +
		`add rule ip gremesh postrouting ip saddr 172.17.42.0/24 ip daddr 172.17.42.0/24 ct status dnat return; ` +
		`add rule ip gremesh postrouting ip saddr 172.17.0.0/16 ip daddr 169.254.0.0/16 snat to ip saddr; ` +
		`add rule ip gremesh postrouting ip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 snat to ip saddr; ` +
		`add rule ip gremesh postrouting ip saddr 172.17.0.0/16 ip daddr @hosts snat to ip saddr'
`
	hostsSet = `add set ip gremesh hosts { type ipv4_addr ; }; `
	one      = `add element ip gremesh hosts { 192.168.248.139 }`
	refill   = "nft '" + rules
	addOne   = "nft '" + hostsSet + one + "'\n"
	dropTwo  = "nft 'delete element ip gremesh hosts { 192.168.248.140 }; delete element ip gremesh hosts { 192.168.248.141 }'\n"
	whole    = "nft 'add table ip gremesh; " + hostsSet + one + "; " + rules
	anew     = "nft 'add table ip gremesh; delete table ip gremesh; add table ip gremesh; " + hostsSet + one + "; " + rules
)

func TestDiffReadsAsARunbook(t *testing.T) {
	quiet := wanted()
	quiet.Quiet = "br0"
	for _, tt := range []struct {
		name  string
		want  Rules
		spoil func(*State)
		plan  string
	}{
		{"a host as it should be", wanted(), func(*State) {}, ""},
		{"a host without Docker", wanted(), func(a *State) { *a = State{} }, `
# nftables table ip gremesh: is missing, should be not to masquerade 169.254.0.0/16, 172.17.0.0/16, 192.168.248.139
` + whole},
		{"other destinations", wanted(), func(a *State) {
			r := wanted()
			r.NonMasquerade = prefixes("10.0.0.0/8", "172.17.0.0/16", "192.168.248.140/32", "192.168.248.141/32")
			a.Table = natTable(r).listing()
		}, `
# nftables table ip gremesh: is ip saddr 172.17.0.0/16 ip daddr 10.0.0.0/8 snat to ip saddr; element 192.168.248.140; element 192.168.248.141, should be ip saddr 172.17.0.0/16 ip daddr 169.254.0.0/16 snat to ip saddr; element 192.168.248.139
` + addOne + refill + dropTwo},
		{"a host that has come", wanted(), func(a *State) { a.Table = slices.Delete(a.Table, 10, 11) }, `
# nftables table ip gremesh: is incomplete, should be element 192.168.248.139
` + addOne},
		{"hosts that have gone", wanted(), func(a *State) {
			a.Table = slices.Insert(a.Table, 11, "element 192.168.248.140", "element 192.168.248.141")
		}, `
# nftables table ip gremesh: is element 192.168.248.140; element 192.168.248.141, should be without that
` + dropTwo},
		{"a table of before there was a set", wanted(), func(a *State) {
			a.Table = slices.Delete(a.Table, 8, 12)
			a.Table[6] = "ip saddr 172.17.0.0/16 ip daddr 192.168.248.139 snat to ip saddr"
		}, `
# nftables table ip gremesh: is ip saddr 172.17.0.0/16 ip daddr 192.168.248.139 snat to ip saddr, should be ip saddr 172.17.0.0/16 ip daddr @hosts snat to ip saddr; set hosts {; type ipv4_addr; element 192.168.248.139
` + addOne + refill},
		{"an element that is none of ours", wanted(), func(a *State) { a.Table[10] += " timeout 1h" }, `
# nftables table ip gremesh: is element 192.168.248.139 timeout 1h, should be element 192.168.248.139
` + anew},
		{"another kind of set", wanted(), func(a *State) { a.Table = slices.Insert(a.Table, 10, "flags interval") }, `
# nftables table ip gremesh: is flags interval, should be without that
` + anew},
		{"a rule changed by hand", wanted(), func(a *State) { a.Table[6] = "ip saddr 172.17.0.0/16 accept" }, `
# nftables table ip gremesh: is ip saddr 172.17.0.0/16 accept, should be ip saddr 172.17.0.0/16 ip daddr @hosts snat to ip saddr
` + refill},
		{"a rule too many", wanted(), func(a *State) {
			a.Table = slices.Insert(a.Table, 3, "accept")
		}, `
# nftables table ip gremesh: is accept, should be without that
` + refill},
		{"rules in another order", wanted(), func(a *State) { a.Table[4], a.Table[5] = a.Table[5], a.Table[4] }, `
# nftables table ip gremesh: is in another order, should be in ours
` + refill},
		{"a chain of somebody else's", wanted(), func(a *State) { a.Table = slices.Insert(a.Table, 1, "chain other {", "}") }, `
# nftables table ip gremesh: is chain other {, should be without that
` + anew},
		{"another hook", wanted(), func(a *State) { a.Table[2] = "type nat hook postrouting priority 50; policy accept;" }, `
# nftables table ip gremesh: is type nat hook postrouting priority 50; policy accept;, should be type nat hook postrouting priority 99; policy accept;
` + anew},
		{"Docker has just started", wanted(), func(a *State) { a.user("-j RETURN") }, `
# iptables-nft chain DOCKER-USER: is missing, should be ` + userReturn + "; " + userAccept + "; " + userAnswer + `
iptables-nft -w 5 -I DOCKER-USER 1 ` + userReturn + `
iptables-nft -w 5 -I DOCKER-USER 2 ` + userAccept + `
iptables-nft -w 5 -I DOCKER-USER 3 ` + userAnswer + "\n"},
		{"the operator's rules come first", wanted(), func(a *State) { a.user("-s 172.17.42.7/32 -j DROP", "-j RETURN") }, `
# iptables-nft chain DOCKER-USER: is missing, should be ` + userReturn + "; " + userAccept + "; " + userAnswer + `
iptables-nft -w 5 -I DOCKER-USER 2 ` + userReturn + `
iptables-nft -w 5 -I DOCKER-USER 3 ` + userAccept + `
iptables-nft -w 5 -I DOCKER-USER 4 ` + userAnswer + "\n"},
		{"a newer Docker, that ends the chain with no RETURN", wanted(), func(a *State) { a.user("-s 172.17.42.7/32 -j DROP") }, `
# iptables-nft chain DOCKER-USER: is missing, should be ` + userReturn + "; " + userAccept + "; " + userAnswer + `
iptables-nft -w 5 -I DOCKER-USER 2 ` + userReturn + `
iptables-nft -w 5 -I DOCKER-USER 3 ` + userAccept + `
iptables-nft -w 5 -I DOCKER-USER 4 ` + userAnswer + "\n"},
		{"ours behind the RETURN", wanted(), func(a *State) { a.user("-j RETURN", userReturn, userAccept, userAnswer) }, `
# iptables-nft chain DOCKER-USER: is our rules at another place, should be our rules behind all others
iptables-nft -w 5 -D DOCKER-USER ` + userReturn + `
iptables-nft -w 5 -D DOCKER-USER ` + userAccept + `
iptables-nft -w 5 -D DOCKER-USER ` + userAnswer + `
iptables-nft -w 5 -I DOCKER-USER 1 ` + userReturn + `
iptables-nft -w 5 -I DOCKER-USER 2 ` + userAccept + `
iptables-nft -w 5 -I DOCKER-USER 3 ` + userAnswer + "\n"},
		{"no accepts are wanted", Rules{Pool: wanted().Pool, Subnet: wanted().Subnet, NonMasquerade: wanted().NonMasquerade}, func(*State) {}, `
# iptables-nft chain DOCKER-USER: is ` + userReturn + "; " + userAccept + "; " + userAnswer + `, should not exist
iptables-nft -w 5 -D DOCKER-USER ` + userReturn + `
iptables-nft -w 5 -D DOCKER-USER ` + userAccept + `
iptables-nft -w 5 -D DOCKER-USER ` + userAnswer + "\n"},
		{"nothing of ours is wanted", Rules{}, func(a *State) {
			a.user(userReturn, "-s 10.0.0.0/8 -m comment --comment gremeshed -j DROP", "-j RETURN")
		}, `
# nftables table ip gremesh: is not to masquerade 169.254.0.0/16, 172.17.0.0/16, 192.168.248.139, should not exist
nft 'add table ip gremesh; delete table ip gremesh'
# iptables-nft chain DOCKER-USER: is ` + userReturn + `, should not exist
iptables-nft -w 5 -D DOCKER-USER ` + userReturn + "\n"},
		{"the bridge is to be quiet", quiet, func(*State) {}, `
# nftables table bridge gremesh: is missing, should be to keep the bridge's own broadcasts, and foreign sources, out of the tunnels
nft 'add table bridge gremesh; add chain bridge gremesh output { type filter hook output priority 0 ; }; flush chain bridge gremesh output; ` +
			`add rule bridge gremesh output oifname "br0" ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 drop'
`},
		{"it is quiet", quiet, func(a *State) { a.Quiet = bridgeTable(quiet).listing() }, ""},
		{"it can't be", quiet, func(a *State) { a.MissingFamilies = []string{"bridge"} }, ""},
		{"neither can be", quiet, func(a *State) { a.Table, a.MissingFamilies = nil, []string{"ip", "bridge"} }, ""},
		{"it is to flood", wanted(), func(a *State) { a.Quiet = bridgeTable(quiet).listing() }, `
# nftables table bridge gremesh: is to keep the bridge's own broadcasts, and foreign sources, out of the tunnels, should not exist
nft 'add table bridge gremesh; delete table bridge gremesh'
`},
		{"nothing of ours is wanted, and there is nothing", Rules{}, func(a *State) { a.Table = nil; a.user("-j RETURN") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			have := clean()
			tt.spoil(&have)
			got := render(Diff(tt.want, have))
			if d := cmp.Diff(strings.TrimPrefix(tt.plan, "\n"), got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
