package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh/gossip"
)

func newResetIdentityCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset-identity",
		Short: "Give a cloned host a new identity",
		Long: `Give the host of this disk a new ID, so that the mesh can tell it from the host
that the disk was copied from. The agent must be stopped. At its next start it
joins the same mesh as a new host and takes a subnet of its own; the old ID
keeps its own.

Exit codes: 0 it has a new ID; 1 it has not; 2 the command line or the
configuration is wrong, or there is no terminal to ask on.`,
		Example: `  systemctl stop gremesh
  gremesh reset-identity
  systemctl start gremesh`,
		Args: cobra.NoArgs,
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		paths, err := file.paths(cmd)
		if err != nil {
			return err
		}
		dir := paths.StateDir
		if !machine.HasState(dir) { // without this check, LockState would create a state
			return fmt.Errorf("there is no host's identity to reset in %s (state_dir): no agent has run with it", dir)
		}
		unlock, err := machine.LockState(dir)
		if err != nil {
			return err
		}
		defer unlock()
		if err := confirm(cmd, *yes, "The host of this disk will get a new ID and give up its claim to the subnet that goes with the\n"+
			"old one. That is right for the copy of a disk, not for the original."); err != nil {
			return err
		}
		old, fresh, err := gossip.ResetIdentity(dir)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "this host was %s and is %s now\n", old, fresh)
		return err
	}
	return cmd
}
