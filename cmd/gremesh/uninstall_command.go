package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
)

func newUninstallCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:        "uninstall",
		SuggestFor: []string{"purge", "remove"},
		Short:      "Take gremesh off this host, and put back what was there before",
		Long: `Leave the mesh, give up the subnet, and remove all that gremesh made on this host
and nothing else: tunnels, br0, routes, nftables tables, the state. Restore what
it changed to what it was before gremesh's first start: docker0's address, MAC
and MTU, sysctls, and gremesh's keys in daemon.json; the rest of that file stays.
The command restarts Docker, which stops its containers; those with a restart
policy come back.

It first shows the plan, with the commands that would do the same by hand. The
agent may run or not; it has ended afterwards. The configuration, the key, the
binary and the unit stay.

If something cannot be undone now, the command names it, does the rest and keeps
the state. Correct the cause, and run it again; likewise after an interruption.

With --keep-bip daemon.json and docker0 stay as they are, for good: containers
keep running and reach each other on this host.

Exit codes: 0 nothing of gremesh is left, or with --dry-run the whole plan is
shown; 1 something is left, or could not be looked at; 2 the command line or the
configuration is wrong, or there is no terminal to ask on.`,
		Example: `  # what would be done
  gremesh uninstall --dry-run

  # in a script
  gremesh uninstall --yes && systemctl disable gremesh

  # containers run on, with the addresses that they have
  gremesh uninstall --keep-bip`,
		Args: cobra.NoArgs,
	}
	yes := yesFlag(cmd)
	keepBip := cmd.Flags().Bool("keep-bip", false, "leave daemon.json and docker0 as they are, and Docker alone")
	dryRun := cmd.Flags().Bool("dry-run", false, "show the plan and do nothing")
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *out == asJSON && !*dryRun {
			return exitErr{exitUsage, errors.New("-o json: only with --dry-run")}
		}
		cfg, silent, err := uninstallConfig(cmd, file)
		if err != nil {
			return err
		}
		u := newUninstaller(cmd, cfg, silent)
		u.KeepBip = *keepBip
		return u.during(cmd.Context(), func(ctx context.Context) error {
			plan, err := u.plan(ctx)
			if err != nil {
				return err
			}
			if err := out.print(cmd, plan, func(p paint) string { return renderUninstall(plan, p) }); err != nil {
				return err
			}
			switch {
			case *dryRun && len(plan.Problems) > 0:
				return errors.New("not all of this host could be looked at: there may be more to do than the plan shows")
			case *dryRun || plan.nothing():
				return nil
			}
			if err := confirm(cmd, *yes, "All of this will be done."); err != nil {
				return err
			}
			return u.run(ctx, plan)
		})
	}
	return cmd
}

// uninstallConfig reads the configuration as far as it is valid. A fault in the
// keys of mesh and node, or a missing configuration, only prevents this host
// from leaving the mesh. silent then gives the reason. All other faults are an
// error.
func uninstallConfig(cmd *cobra.Command, file *configFile) (cfg Config, silent, err error) {
	cfg, r, err := checkConfig(file.path, file.named, cmd.Flags())
	if err != nil {
		return Config{}, nil, exitErr{exitUsage, err}
	}
	about := 0
	for key := range r.bad {
		if strings.HasPrefix(key, "mesh.") || strings.HasPrefix(key, "node.") {
			about++
		}
	}
	all := errors.Join(r.errs...)
	if len(r.errs) > about {
		return Config{}, nil, exitErr{exitUsage, all}
	}
	return cfg.inMesh(), all, nil
}

// uninstaller removes gremesh from this host.
type uninstaller struct {
	mesh.Uninstall
	parts
	cfg    Config
	silent error // why this host cannot tell the other hosts
	say    func(string)
}

// uninstallPlan is the content of the plan that `gremesh uninstall` shows.
type uninstallPlan struct {
	GivesUp netip.Prefix `json:"gives_up"`          // the subnet that this host gives up; zero if none
	Damaged string       `json:"damaged,omitempty"` // why it is unknown whether the host has a subnet
	Agent   bool         `json:"agent"`             // an agent runs
	State   string       `json:"state,omitempty"`   // the directory to remove
	mesh.UninstallPlan
}

func (p uninstallPlan) nothing() bool {
	return p.State == "" && !p.GivesUp.IsValid() && !p.Agent && len(p.Changes)+len(p.Problems) == 0
}

func newUninstaller(cmd *cobra.Command, cfg Config, silent error) *uninstaller {
	u := &uninstaller{cfg: cfg, silent: silent, parts: newParts(cfg, underlay{}, slog.New(slog.DiscardHandler))}
	u.say = func(what string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), what) } // progress for a waiting user
	u.Uninstall = mesh.Uninstall{
		Switch: u.ovs, Kernel: u.kernel, Docker: u.docker, NAT: u.nat, Pool: cfg.Pool, Say: u.say,
	}
	return u
}

// during runs do while it keeps a connection to Open vSwitch.
func (u *uninstaller) during(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.ovs.Run(ctx) }()
	err := do(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

func (u *uninstaller) plan(ctx context.Context) (plan uninstallPlan, err error) {
	unlock, running, err := holdState(u.cfg.StateDir)
	if err != nil {
		return plan, err
	}
	unlock()
	plan.Agent = running
	if hasState(u.cfg.StateDir) {
		plan.State = u.cfg.StateDir
	}
	if plan.GivesUp, err = gossip.Reserved(u.cfg.StateDir); err != nil {
		plan.Damaged = err.Error()
	}
	plan.UninstallPlan = u.Plan(ctx)
	return plan, nil
}

func (u *uninstaller) run(ctx context.Context, plan uninstallPlan) error {
	unlock, running, err := holdState(u.cfg.StateDir)
	if err != nil {
		return err
	}
	var silent error
	switch {
	case running:
		u.say("the agent leaves the mesh and ends …")
		if unlock, silent, err = leaveByAgent(ctx, u.cfg); err != nil {
			return err
		}
	case plan.Damaged != "":
		silent = errors.New(plan.Damaged)
	case plan.GivesUp.IsValid():
		silent = u.silent
	}
	defer func() { unlock() }()
	left, err := gossip.Reserved(u.cfg.StateDir)
	if err == nil && (left.IsValid() || gossip.IsUntold(u.cfg.StateDir)) && u.silent == nil {
		u.say("leaving the mesh …")
		silent = leaveAlone(ctx, u.parts, u.cfg)
	}
	if silent != nil {
		u.say(fmt.Sprintf("the other hosts were not told that this host leaves: %v\nThe other hosts see this one as failed. To free its subnet, on one of them: gremesh forget %s",
			silent, u.cfg.Node.Name))
	}
	if err := u.Run(ctx); err != nil {
		return fmt.Errorf("%w\nthe rest is done, and the state kept: correct the cause and run `gremesh uninstall` again", err)
	}
	return u.removeState()
}

func (u *uninstaller) removeState() error {
	left, err := removeState(u.cfg)
	if err != nil {
		return err
	}
	if left != "" {
		u.say(left + " stays: there are files in it that are not gremesh's")
	}
	u.say("gremesh is off this host; its configuration and its binary stay, and the unit: systemctl disable gremesh")
	return nil
}

// renderUninstall formats the plan as text: each difference, with the commands
// that would correct it below.
func renderUninstall(plan uninstallPlan, p paint) string {
	var b strings.Builder
	if plan.nothing() {
		b.WriteString("nothing of gremesh is on this host\n")
	}
	if plan.GivesUp.IsValid() {
		b.WriteString(p.in(text.FgYellow, fmt.Sprintf("mesh: this host leaves, and %s is given up", plan.GivesUp)) + "\n")
	}
	for _, d := range plan.Changes {
		b.WriteString(p.in(text.FgYellow, d.String()) + "\n")
		for _, c := range d.Commands {
			b.WriteString("  " + c + "\n")
		}
	}
	if plan.State != "" {
		b.WriteString(p.in(text.FgYellow, "files: "+plan.State+" is removed, when all else is done") + "\n")
	}
	for _, stays := range plan.Stays {
		b.WriteString(stays + "\n")
	}
	for _, problem := range plan.Problems {
		b.WriteString(p.in(text.FgRed, "!") + " " + problem + "\n")
	}
	return b.String()
}
