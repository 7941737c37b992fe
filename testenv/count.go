package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Sent is the traffic that a host has sent on the underlay, in bytes from the
// IP header on.
type Sent struct {
	Gossip int // to and from port 7946
	Tunnel int // GRE
}

// CountSent starts to count the traffic that each host sends. It counts at the
// host's port of the underlay's switch. The host's own packet filter would not
// see its tunnels on the userspace datapath. Heal ends the count.
func (l *Lab) CountSent(ctx context.Context) error {
	var script strings.Builder
	for _, h := range l.hosts {
		for _, c := range []struct{ name, match string }{
			{"gossip", "meta l4proto { tcp, udp } th dport 7946"},
			{"gossip", "meta l4proto { tcp, udp } th sport 7946 th dport != 7946"},
			{"tunnel", filtered["gre"]},
		} {
			name := h.Name + "-" + c.name
			fmt.Fprintf(&script, "add counter bridge lab %s\nadd rule bridge lab filters iifname %s %s counter name %s\n",
				name, h.nics()[0].port, c.match, name)
		}
	}
	return l.nft(ctx, script.String())
}

// Sent returns the traffic that each host has sent since CountSent.
func (l *Lab) Sent(ctx context.Context) (map[*Host]Sent, error) {
	out, err := output(exec.CommandContext(ctx, "nsenter", "--net="+netnsPath(l.Name, switchName),
		"nft", "-j", "list", "counters", "table", "bridge", "lab"))
	if err != nil {
		return nil, fmt.Errorf("count what hosts sent: %w", err)
	}
	var listed struct {
		Nftables []struct {
			Counter struct {
				Name  string `json:"name"`
				Bytes int    `json:"bytes"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		return nil, fmt.Errorf("count what hosts sent: %w", err)
	}
	bytes := map[string]int{}
	for _, l := range listed.Nftables {
		bytes[l.Counter.Name] = l.Counter.Bytes
	}
	sent := map[*Host]Sent{}
	for _, h := range l.hosts {
		sent[h] = Sent{bytes[h.Name+"-gossip"], bytes[h.Name+"-tunnel"]}
	}
	return sent, nil
}
