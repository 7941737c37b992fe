package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// firstSubnet is the number of the recipe's first subnet: h1 has 172.17.42.0/24.
const firstSubnet = 42

// RecipeBip is the docker0 address that Recipe gives to the host.
func (h *Host) RecipeBip() netip.Prefix {
	size := 1 << (32 - h.lab.cfg.Prefix)
	number := firstSubnet + h.index - 1
	return netip.PrefixFrom(addrAt(h.lab.cfg.Pool, number*size+1), h.lab.cfg.Prefix)
}

// Recipe makes the full mesh without gremesh, as an operator does who has read
// that three hosts need protected ports: host after host, a command at a time.
func (l *Lab) Recipe(ctx context.Context) error {
	for _, h := range l.hosts {
		if err := h.recipe(ctx); err != nil {
			return fmt.Errorf("recipe: %w", err)
		}
	}
	return nil
}

func (h *Host) recipe(ctx context.Context) error {
	if err := h.recipeDocker0(ctx); err != nil {
		return err
	}
	lines := []string{"ovs-vsctl add-br br0 -- set bridge br0 datapath_type=" + h.lab.cfg.Datapath}
	for _, peer := range h.lab.hosts {
		if peer == h {
			continue
		}
		port := fmt.Sprintf("gre%d", firstSubnet+peer.index-1)
		lines = append(lines, fmt.Sprintf("ovs-vsctl add-port br0 %s -- set interface %s type=gre options:remote_ip=%s"+
			" bfd:enable=true -- set port %s protected=true", port, port, peer.Addr, port))
	}
	lines = append(lines,
		"ip link set br0 master docker0",
		"ip link set br0 up",
		"ip link set docker0 up",
		"ip route add "+h.lab.cfg.Pool.String()+" dev docker0",
	)
	return h.execLines(ctx, lines)
}

// recipeDocker0 lets Docker make docker0, or makes it where there is no Docker.
func (h *Host) recipeDocker0(ctx context.Context) error {
	bip := h.RecipeBip().String()
	if !h.lab.cfg.Docker {
		return h.execLines(ctx, []string{
			"ip link add docker0 type bridge",
			"ip address add " + bip + " dev docker0",
			"sysctl -qw net.ipv4.ip_forward=1",
		})
	}
	text, err := json.Marshal(map[string]string{"bip": bip})
	if err != nil {
		return err
	}
	if err := os.WriteFile(h.DaemonJSON(), text, 0o644); err != nil {
		return err
	}
	return h.RestartDocker(ctx)
}

func (h *Host) execLines(ctx context.Context, lines []string) error {
	for _, line := range lines {
		if _, err := h.Exec(ctx, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}
