package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// firstSubnet is the number of the recipe's first subnet: h1 has
// 172.17.42.0/24.
const firstSubnet = 42

// RecipeBip returns the docker0 address that Recipe gives to the host.
func (h *Host) RecipeBip() netip.Prefix {
	size := 1 << (32 - h.lab.cfg.Prefix)
	number := firstSubnet + h.index - 1
	return netip.PrefixFrom(addrAt(h.lab.cfg.Pool, number*size+1), h.lab.cfg.Prefix)
}

// Recipe creates the full mesh without gremesh. It acts like an operator who
// knows that three hosts need protected ports: one host after another, one
// command at a time.
func (l *Lab) Recipe(ctx context.Context) error {
	for _, h := range l.hosts {
		if err := h.Recipe(ctx, l.hosts...); err != nil {
			return err
		}
	}
	return nil
}

// RecipeAtOnce does the same as Recipe, but with one script for each host, and
// it starts all scripts at once.
func (l *Lab) RecipeAtOnce(ctx context.Context) error {
	return l.Each(func(h *Host) error { return h.Recipe(ctx, l.hosts...) })
}

// Recipe runs the host's part of the recipe, with ports to the given hosts
// except itself.
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

// RecipeNoPort deletes the port to a host.
func (h *Host) RecipeNoPort(ctx context.Context, peer *Host) error {
	return h.script(ctx, "ovs-vsctl del-port br0 "+recipePortName(peer))
}

// RecipeGretap creates docker0 and connects it to a peer's docker0 with a GRE
// device of the kernel, without Open vSwitch. Two hosts need nothing more.
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

// recipeDocker0 returns the commands that create docker0. With Docker, it
// writes the bip to daemon.json, and the command restarts Docker, which creates
// docker0.
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

// script runs commands one after another in one shell on the host.
func (h *Host) script(ctx context.Context, lines ...string) error {
	if _, err := h.Exec(ctx, "sh", "-ec", strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("recipe: %w", err)
	}
	return nil
}
