package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRetryCommand(file *configFile) *cobra.Command {
	return &cobra.Command{
		Use:   "retry HOST",
		Short: "Try at once whether GRE gets through to a host again",
		Long: `Try the mesh's tunnel.type between this host and HOST at once, for example after a
firewall between the two was corrected. HOST is a name or an ID, as "gremesh
status" shows them. By itself a pair that uses a type of tunnel.fallback tries
tunnel.type every hour (tunnel.retry). Run this on either of the two hosts.

It takes about 2 s. If the network still drops the type, it takes 3 s in which
the two do not reach each other.

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
			kind, err := c.Retry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s gets through between here and %s, and is used\n", kind, args[0])
			return err
		},
	}
}
