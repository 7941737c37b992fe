package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Ready returns nil if all hosts of the lab form a full mesh. In a full mesh,
// each host has its own subnet and a tunnel with BFD up to each other host. Its
// bip is on docker0 and in Docker. If the mesh is not full, the error names
// what is missing.
func (l *Lab) Ready(ctx context.Context) error {
	bips := make([]netip.Prefix, len(l.hosts))
	err := l.Each(func(h *Host) error {
		var err error
		bips[h.index-1], err = h.ready(ctx)
		return err
	})
	if err != nil {
		return err
	}
	holder := map[netip.Prefix]*Host{}
	for i, bip := range bips {
		h := l.hosts[i]
		if other := holder[bip.Masked()]; other != nil {
			return fmt.Errorf("%s and %s both have %s", other.Name, h.Name, bip.Masked())
		}
		holder[bip.Masked()] = h
	}
	return nil
}

func (h *Host) ready(ctx context.Context) (netip.Prefix, error) {
	s, err := h.Status(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	n := len(h.lab.hosts)
	if s.Mesh.Hosts != n || s.Mesh.TunnelsUp != n*(n-1) {
		return netip.Prefix{}, fmt.Errorf("%s sees %d of %d hosts, %d of %d tunnels up",
			h.Name, s.Mesh.Hosts, n, s.Mesh.TunnelsUp, n*(n-1))
	}
	if !s.Host.Bip.IsValid() {
		return netip.Prefix{}, fmt.Errorf("%s has no bip", h.Name)
	}
	out, err := h.Exec(ctx, "ip", "-o", "-4", "address", "show", "dev", "docker0")
	if err != nil {
		return netip.Prefix{}, err
	}
	if !strings.Contains(out, " "+s.Host.Bip.String()+" ") {
		return netip.Prefix{}, fmt.Errorf("%s: docker0 does not have %s", h.Name, s.Host.Bip)
	}
	return s.Host.Bip, h.dockerReady(ctx, s.Host.Bip.Addr())
}

// dockerReady returns nil if dockerd answers and was restarted with the bip, or
// if the lab has no Docker.
func (h *Host) dockerReady(ctx context.Context, bip netip.Addr) error {
	if !h.lab.cfg.Docker {
		return nil
	}
	var bridge struct {
		IPAM struct {
			Config []struct{ Gateway netip.Addr }
		}
	}
	if err := h.askDocker(ctx, "/networks/bridge", &bridge); err != nil {
		return err
	}
	if c := bridge.IPAM.Config; len(c) != 1 || c[0].Gateway != bip {
		return fmt.Errorf("%s: Docker's containers have the gateway %v, not %s", h.Name, c, bip)
	}
	return nil
}

// Form writes the configuration of every host, with further settings for all.
// The first host creates a mesh. The other hosts join it through the first
// host.
func (l *Lab) Form(settings map[string]any) error {
	var errs []error
	for _, h := range l.hosts {
		all := map[string]any{"mesh.bootstrap": true}
		if h.index > 1 {
			all = map[string]any{"mesh.join": []string{l.Host(1).Addr.String()}}
		}
		for key, value := range settings {
			all[key] = value
		}
		errs = append(errs, h.WriteConfig(all))
	}
	return errors.Join(errs...)
}

// StartAgents starts all agents at once.
func (l *Lab) StartAgents(ctx context.Context) error {
	if _, err := l.binary(ctx); err != nil {
		return err
	}
	return l.Each(func(h *Host) error { return h.StartAgent(ctx) })
}
