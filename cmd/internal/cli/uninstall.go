package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/cmd/internal/offline"
)

func newUninstallCommand(program Program, file *configFile) *cobra.Command {
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
			return exit.Error{Code: exit.Usage, Err: errors.New("-o json: only with --dry-run")}
		}
		cfg, leaveErr, err := uninstallConfig(cmd, file)
		if err != nil {
			return err
		}
		say := func(what string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), what) } // progress for a waiting user
		u := offline.NewUninstaller(offline.UninstallOptions{Config: cfg, Components: program.Components, LeaveErr: leaveErr, KeepBip: *keepBip, Say: say})
		return u.WithOVS(cmd.Context(), func(ctx context.Context) error {
			plan, err := u.Plan(ctx)
			if err != nil {
				return err
			}
			if err := out.print(cmd, plan, func(p render.Styler) string { return render.Uninstall(plan, p) }); err != nil {
				return err
			}
			switch {
			case *dryRun && len(plan.Problems) > 0:
				return errors.New("not all of this host could be looked at: there may be more to do than the plan shows")
			case *dryRun || plan.IsEmpty():
				return nil
			}
			if err := confirm(cmd, *yes, "All of this will be done."); err != nil {
				return err
			}
			return u.Run(ctx, plan)
		})
	}
	return cmd
}

// uninstallConfig reads the configuration as far as it is valid. A fault in the
// keys of mesh and node, or a missing configuration, only prevents this host
// from leaving the mesh. leaveErr then gives the reason. All other faults are
// an error.
func uninstallConfig(cmd *cobra.Command, file *configFile) (cfg config.Config, leaveErr, err error) {
	cfg, errs, err := config.Check(file.path, file.named, cmd.Flags())
	if err != nil {
		return config.Config{}, nil, exit.Error{Code: exit.Usage, Err: err}
	}
	if !errs.AreOnlyIn("mesh", "node") {
		return config.Config{}, nil, exit.Error{Code: exit.Usage, Err: errs.Err()}
	}
	return machine.InMesh(cfg), errs.Err(), nil
}
