package testenv

import (
	"context"
	"fmt"
)

// filtered maps protocols that firewalls often block to nft expressions
// (nft(8)).
var filtered = map[string]string{
	"gre":    "meta l4proto gre", // 47
	"vxlan":  "udp dport 4789",
	"geneve": "udp dport 6081",
	"icmp":   "meta l4proto { icmp, ipv6-icmp }",
}

// Filter drops the packets of a protocol (gre, vxlan, geneve or icmp) from one
// host's underlay address to another's. It drops one direction only, until
// Heal. Neither end is notified.
func (l *Lab) Filter(ctx context.Context, from, to *Host, protocol string) error {
	match, ok := filtered[protocol]
	if !ok {
		return fmt.Errorf("filter %q from %s to %s: only gre, vxlan, geneve and icmp are known", protocol, from.Name, to.Name)
	}
	family := "ip"
	if from.Addr.Is6() {
		family = "ip6"
	}
	script := fmt.Sprintf("add rule bridge lab filters %s saddr %s %s daddr %s %s drop\n", family, from.Addr, family, to.Addr, match)
	if from.Second.IsValid() {
		script += fmt.Sprintf("add rule bridge lab filters ip saddr %s ip daddr %s %s drop\n", from.Second, to.Second, match)
	}
	return l.nft(ctx, script)
}

// FilterLarge drops long GRE packets from one host's underlay address to
// another's, until Heal. It drops packets of more than the given number of
// bytes, counted from the IP header on. A path measurement with ICMP does not
// notice it.
func (l *Lab) FilterLarge(ctx context.Context, from, to *Host, bytes int) error {
	return l.nft(ctx, fmt.Sprintf("add rule bridge lab filters ip saddr %s ip daddr %s %s ip length > %d drop\n", from.Addr, to.Addr, filtered["gre"], bytes))
}
