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
		if err := h.Recipe(ctx, l.hosts...); err != nil {
			return err
		}
	}
	return nil
}

// RecipeAtOnce is what Recipe does, by one script for each host, all started at
// once.
func (l *Lab) RecipeAtOnce(ctx context.Context) error {
	return l.Each(func(h *Host) error { return h.Recipe(ctx, l.hosts...) })
}

// Recipe runs a host's part of it, with ports to those of the hosts that are
// not itself.
func (h *Host) Recipe(ctx context.Context, hosts ...*Host) error {
	lines, err := h.recipeDocker0()
	if err != nil {
		return err
	}
	lines = append(lines, "ovs-vsctl add-br br0 -- set bridge br0 datapath_type="+h.lab.cfg.Datapath)
	for _, peer := range hosts {
		if peer != h {
			lines = append(lines, h.recipePort(peer))
		}
	}
	lines = append(lines,
		"ip link set br0 master docker0",
		"ip link set br0 up",
		"ip link set docker0 up",
		"ip route add "+h.lab.cfg.Pool.String()+" dev docker0",
	)
	return h.script(ctx, lines...)
}

// RecipePort adds the port to a host that came later.
func (h *Host) RecipePort(ctx context.Context, peer *Host) error {
	return h.script(ctx, h.recipePort(peer))
}

// RecipeNoPort takes the port to a host away again.
func (h *Host) RecipeNoPort(ctx context.Context, peer *Host) error {
	return h.script(ctx, "ovs-vsctl del-port br0 "+recipePortName(peer))
}

// RecipeGretap makes docker0 and joins it to a peer's by a GRE device of the
// kernel's, without Open vSwitch. Between two hosts it needs no more.
func (h *Host) RecipeGretap(ctx context.Context, peer *Host) error {
	lines, err := h.recipeDocker0()
	if err != nil {
		return err
	}
	return h.script(ctx, append(lines,
		fmt.Sprintf("ip link add gretap42 type gretap local %s remote %s", h.Addr, peer.Addr),
		"ip link set gretap42 master docker0 up",
		"ip link set docker0 up",
		"ip route add "+h.lab.cfg.Pool.String()+" dev docker0")...)
}

func recipePortName(peer *Host) string { return fmt.Sprintf("gre%d", firstSubnet+peer.index-1) }

func (h *Host) recipePort(peer *Host) string {
	port := recipePortName(peer)
	return fmt.Sprintf("ovs-vsctl add-port br0 %s -- set interface %s type=gre options:remote_ip=%s"+
		" bfd:enable=true -- set port %s protected=true", port, port, peer.Addr, port)
}

// recipeDocker0 lets Docker make docker0, or makes it where there is no Docker.
func (h *Host) recipeDocker0() ([]string, error) {
	bip := h.RecipeBip().String()
	if !h.lab.cfg.Docker {
		return []string{
			"ip link add docker0 type bridge",
			"ip address add " + bip + " dev docker0",
			"sysctl -qw net.ipv4.ip_forward=1",
		}, nil
	}
	text, err := json.Marshal(map[string]string{"bip": bip})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.DaemonJSON(), text, 0o644); err != nil {
		return nil, err
	}
	return []string{h.DockerScript() + " restart"}, nil
}

// script runs commands one after another in one shell of the host's.
func (h *Host) script(ctx context.Context, lines ...string) error {
	if _, err := h.Exec(ctx, "sh", "-ec", strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("recipe: %w", err)
	}
	return nil
}
