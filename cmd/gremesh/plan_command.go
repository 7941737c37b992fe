package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/preflight"
)

func newPlanCommand(file *configFile) *cobra.Command {
	var peers string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what the agent would change now, as commands",
		Long: `Show what the agent would change on this host now, as ordinary ovs-vsctl, ip, nft
and sysctl commands. The command changes nothing. Its output is a script: a shell
that runs it makes the same changes as the agent. Keys of daemon.json and
Docker's restart, which stops containers, are comments in it.

The command asks the running agent. Without an agent it reads the machine itself,
and the state of the mesh in state_dir. For a host that was never in a mesh it
assumes the subnet that the host would ask for first, and the script says so.

Exit codes: 0 shown, even if there is nothing to change; 1 failed, or a part of
the machine could not be read; 2 the command line or the configuration is wrong.`,
		Example: `  gremesh plan

  # do it by hand
  gremesh plan | sh

  # before the first start, with the flags that the agent will get
  gremesh plan --join 192.168.248.139

  # before the first start, with the other hosts as they will be
  gremesh plan --assume-peers peers.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&peers, "assume-peers", "", "a list of hosts, as YAML or JSON, for a mesh that does not exist yet: `FILE` like examples/peers.yaml")
	// This cannot fail because the flag is defined above.
	_ = cmd.MarkFlagFilename("assume-peers", "yaml", "yml", "json")
	meshFlags(cmd)
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		preview, err := c.plan(cmd.Context())
		switch {
		case errors.Is(err, errNoAgent):
			cfg, err := file.load(cmd)
			if err != nil {
				return err
			}
			if preview, err = planAlone(cmd.Context(), cfg, peers); err != nil {
				return err
			}
		case err != nil:
			return err
		case peers != "":
			return errKnowsItsPeers
		}
		if len(preview.Unseen) > 0 {
			return errors.New(strings.Join(preview.Unseen, "\n"))
		}
		return out.print(cmd, preview, func(paint) string { return renderPlan(preview) })
	}
	return cmd
}

var errKnowsItsPeers = errors.New("this host is in a mesh and knows its peers: --assume-peers is for one that does not exist yet")

// planAlone plans without an agent. It reads this machine and changes nothing.
func planAlone(ctx context.Context, cfg Config, peersFile string) (mesh.Preview, error) {
	cfg = cfg.inMesh()
	var peers []mesh.Host
	var err error
	if peersFile != "" {
		if peers, err = readPeers(peersFile, cfg.space()); err != nil {
			return mesh.Preview{}, exitErr{exitUsage, fmt.Errorf("--assume-peers: %w", err)}
		}
	}
	at, err := findUnderlay(cfg)
	if err != nil {
		return mesh.Preview{}, err
	}
	found := append(checkImport(cfg), checkPool(ctx, cfg, at.addr)...)
	if err := preflight.Error(found); err != nil && !mayHoldLease(cfg.StateDir) {
		return mesh.Preview{}, err
	}
	silent := slog.New(slog.DiscardHandler)
	p := newParts(cfg, at, silent)
	view, assumed, err := p.peek(ctx, cfg, at, peers)
	if err != nil {
		return mesh.Preview{}, err
	}

	ctx, stop := context.WithCancel(ctx)
	var connection sync.WaitGroup
	connection.Go(func() { _ = p.ovs.Run(ctx) }) // the error at its end does not matter
	defer connection.Wait()
	defer stop()
	if len(view.Settings) == 0 && view.Self.Subnet.IsValid() {
		assumed = append(assumed, p.assumeKey(ctx, cfg.Pins, len(peers) > 0)...)
	}
	preview := mesh.LoopConfig{Config: p.config, Switch: p.ovs, Kernel: p.kernel, Docker: p.docker, NAT: p.nat, Masquerade: p.masq}.Preview(ctx, view, nil)
	preview.Assumed = assumed
	for _, f := range found {
		preview.Problems = append(preview.Problems, mesh.Problem{What: f.What, Do: f.Do})
	}
	return preview, nil
}

// peek returns the view of the mesh without an agent, and the assumptions in it
// as sentences. If the view has no subnet for this host, view.Waiting gives the
// reason.
func (p parts) peek(ctx context.Context, cfg Config, at underlay, peers []mesh.Host) (view mesh.View, assumed []string, err error) {
	self := slices.IndexFunc(peers, func(h mesh.Host) bool { return h.Underlay == at.addr })
	var said netip.Prefix // this host's own subnet, from the file of peers
	if self >= 0 {
		said = peers[self].Subnet
		peers = slices.Delete(peers, self, self+1)
	}
	gossipConfig := p.gossip(ctx, cfg, at, slog.New(slog.DiscardHandler))
	view, candidate, err := gossip.Peek(gossipConfig, peers...)
	switch {
	case err != nil:
		return view, nil, err
	case view.Self.Subnet.IsValid() && (self >= 0 || len(peers) > 0):
		return view, nil, errKnowsItsPeers
	case view.Self.Subnet.IsValid():
		return view, []string{"all hosts that hold a lease are alive, because no agent runs here that would know"}, nil
	case said.IsValid():
		view.Self.Subnet = said
		assumed = append(assumed, fmt.Sprintf("this host gets %s: the file says so", said))
	case !candidate.IsValid():
		return view, nil, nil // view.Waiting gives the reason
	default:
		view.Self.Subnet = candidate
		why := "it is the first that is free; which one it asks for is decided by the ID that it gets at its first start"
		switch {
		case cfg.Bip.Masked() == candidate:
			why = "its bip is configured"
		case slices.Contains(gossipConfig.Prefer, candidate):
			why = "it uses it already"
		}
		assumed = append(assumed, fmt.Sprintf("this host gets %s: %s", candidate, why))
	}
	if len(peers) > 0 {
		assumed = append(assumed, "the peers are those of the file")
	}
	if view.Mesh == "" {
		assumed = append(assumed, "the mesh has no ID yet: the agent writes that, and the peers' IDs, into external_ids later")
	}
	return view, assumed, nil
}

// renderPlan formats the plan as a shell script: commands, and comments that
// describe the changes.
func renderPlan(p mesh.Preview) string {
	var b strings.Builder
	comment := func(format string, args ...any) {
		for line := range strings.Lines(fmt.Sprintf(format, args...)) {
			b.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	comment("%s, %s", p.Host, prefixText(p.Subnet))
	for _, what := range p.Assumed {
		comment("assumed: %s", what)
	}
	for _, problem := range p.Problems {
		comment("problem: %s", problem.What)
		if problem.Do != "" {
			comment("  %s", problem.Do)
		}
	}
	switch {
	case !p.Subnet.IsValid():
		comment("nothing would be changed, because this host holds no lease: %s", p.Waiting)
		return b.String()
	case len(p.Drift) == 0:
		comment("nothing would be changed")
		return b.String()
	}
	b.WriteString("set -e\n")
	for _, d := range p.Drift {
		b.WriteString("\n")
		comment("%s", change(d))
		if key, ok := strings.CutPrefix(d.Object, "daemon.json "); ok {
			comment("to be done by hand, in %s: %s", p.DaemonJSON, jsonKey(key, d.Should))
		} else if len(d.Commands) == 0 {
			comment("to be done by hand")
		}
		for _, command := range d.Commands {
			b.WriteString(command + "\n")
		}
	}
	return b.String()
}

// change describes a planned change as the observed and the desired state.
func change(d drift.Drift) string {
	switch {
	case d.Is == "":
		return fmt.Sprintf("%s: missing -> %s", d.Object, d.Should)
	case d.Should == "":
		return fmt.Sprintf("%s: %s -> gone", d.Object, d.Is)
	}
	return fmt.Sprintf("%s: %s -> %s", d.Object, d.Is, d.Should)
}

// jsonKey formats a key as it appears in daemon.json. The bip is a string
// there, and the MTU is a number.
func jsonKey(key, value string) string {
	if strings.Trim(value, "0123456789") != "" {
		value = fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%q: %s", key, value)
}
