package e2e

import (
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// natByHand stands in for what gremesh is to do itself.
func natByHand(t *testing.T, l *testenv.Lab) {
	for _, h := range l.Hosts() {
		run(t, h, "nft", "add table ip tmpnat; add chain ip tmpnat c { type nat hook postrouting priority 99; };"+
			"add rule ip tmpnat c ip saddr 172.17.0.0/16 ip daddr 172.17.0.0/16 snat ip prefix to ip saddr map { 172.17.0.0/16 : 172.17.0.0/16 }")
		run(t, h, "iptables", "-I", "DOCKER-USER", "-s", "172.17.0.0/16", "-d", "172.17.0.0/16", "-j", "ACCEPT")
	}
}
