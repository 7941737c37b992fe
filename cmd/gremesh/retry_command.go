package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRetryCommand(file *configFile) *cobra.Command {
	return &cobra.Command{
		Use:   "retry HOST",
		Short: "Try at once whether GRE gets through to a host again",
		Long: `Have the pair of this host and HOST, its name or its ID as "gremesh status" shows
them, try the mesh's tunnel.type at once, after a firewall between the two was
mended. By itself a pair that has moved to a type of tunnel.fallback tries that
every hour (tunnel.retry). It may run on either of the two.

It takes about 2 s, and where the type is filtered still, 3 s in which the two
do not reach each other.

Exit codes: 0 the type gets through and is used; 1 it does not, or could not be
tried; 2 the command line or the configuration is wrong.`,
		Example: `  # "gremesh status" says that GRE is filtered between here and h3
  gremesh retry h3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := file.client(cmd)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "trying the tunnel to %s …\n", args[0])
			kind, err := c.retry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s gets through between here and %s, and is used\n", kind, args[0])
			return err
		},
	}
}
