package filter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlockersOfIPTables(t *testing.T) {
	const fix = "; to let it pass: iptables-nft -I FORWARD -s 172.17.0.0/16 -d 172.17.0.0/16 -i docker0 -o docker0 -j ACCEPT"
	for _, tt := range []struct {
		name, forward, user string // rules, one a line
		want                string
	}{
		{"Docker's own, and policy DROP", "-j DOCKER-USER\n-i docker0 -o docker0 -j ACCEPT", "-j RETURN", ""},
		{"our accept before Docker's drop (icc)", "-j DOCKER-USER\n-i docker0 -o docker0 -j DROP", "-j RETURN", ""},
		{"no chain of Docker's", "", "-", "iptables-nft chain FORWARD drops mesh traffic from docker0 to docker0: policy DROP" + fix},
		{"a chain that nothing leads to", "-i eth0 -j ACCEPT", "", "iptables-nft chain FORWARD drops mesh traffic from docker0 to docker0: policy DROP" + fix},
		{"the distribution's reject before Docker's", "-j REJECT --reject-with icmp-host-prohibited\n-j DOCKER-USER", "",
			"iptables-nft chain FORWARD drops mesh traffic from docker0 to docker0: -j REJECT --reject-with icmp-host-prohibited" + fix},
		{"the operator's drop", "-j DOCKER-USER", "-i docker0 -m comment --comment \"not -j ACCEPT\" -j DROP\n-j RETURN",
			"iptables-nft chain DOCKER-USER drops mesh traffic from docker0 to docker0: -i docker0 -m comment --comment \"not -j ACCEPT\" -j DROP" + fix},
		{"drops of other traffic", "-i eth0 -j DROP\n! -i docker0 -o docker0 -j DROP\n-s 10.0.0.0/8 -j DROP\n! -s 172.16.0.0/12 -j DROP\n-m conntrack --ctstate INVALID -j DROP\n-p tcp -m tcp --syn -j DROP\n-s 172.17.42.7/32 -j DROP\n-j DOCKER-USER", "", ""},
		{"a device by wildcard", "-i docker+ -j DROP\n-j DOCKER-USER", "",
			"iptables-nft chain FORWARD drops mesh traffic from docker0 to docker0: -i docker+ -j DROP" + fix},
		{"an accept that may match", "-p tcp -m tcp --dport 80 -j ACCEPT\n-s 172.16.0.0/12 -j DROP", "",
			"iptables-nft chain FORWARD may drop mesh traffic from docker0 to docker0: -s 172.16.0.0/12 -j DROP" + fix},
		{"a log, and a loop", "-j LOG --log-prefix \"in \"\n-j FORWARD\n-j ACCEPT", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chains := map[string]Chain{"FORWARD": {Policy: "DROP", Rules: lines(tt.forward)}}
			if tt.user != "-" {
				chains[userChain] = Chain{Policy: "-", Rules: lines(tt.user)}
			}
			var got []string
			for _, o := range Blockers(wanted(), State{Filters: []Filter{{Tool: "iptables-nft", Chains: chains}}}) {
				got = append(got, o.String()+"; to let it pass: "+o.Fix)
			}
			if d := cmp.Diff(tt.want, strings.Join(got, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
