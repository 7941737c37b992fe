package cli

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/exit"
)

func newRenumberCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "renumber",
		Short: "Give this host another subnet",
		Long: `Have this host take another subnet. It claims the new one first and lets go of
the one that it has only when a majority has granted the new one.

Then docker0 gets another address and Docker is restarted: containers here stop
and have other addresses when they start again. With live-restore, stop them
first: otherwise Docker ignores the new address.

Exit codes: 0 it has another subnet; 1 it keeps the one that it had; 2 the
command line or the configuration is wrong, or there is no terminal to ask on.`,
		Example: `  # any free subnet
  gremesh renumber

  # this one
  gremesh renumber --to 172.17.50.0/24`,
		Args: cobra.NoArgs,
	}
	to := cmd.Flags().String("to", "", "the `SUBNET` to take; default any that is free")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var subnet netip.Prefix
		if *to != "" {
			var err error
			if subnet, err = netip.ParsePrefix(*to); err != nil || subnet != subnet.Masked() {
				return exit.Error{Code: exit.Usage, Err: fmt.Errorf("--to %q: must be a subnet of the pool, such as 172.17.50.0/24", *to)}
			}
		}
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "This host will get another subnet. Docker is restarted: its containers stop, and have\n"+
			"other addresses when they start again."); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "asking the mesh …") // progress for a waiting user
		got, err := c.Renumber(cmd.Context(), subnet)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "this host has %s now\n", got)
		return err
	}
	return cmd
}
