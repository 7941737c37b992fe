package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh/api"
)

func newLeaveCommand(file *configFile) *cobra.Command {
	var release bool
	cmd := &cobra.Command{
		Use:        "leave",
		SuggestFor: []string{"down", "stop"},
		Short:      "Take this host out of the mesh for good",
		Long: `Tell the running agent to leave the mesh and to remove its tunnels. The peers
delete their ports to this host at once. Containers here keep running, and can no
longer reach those of other hosts. The agent ends.

The host keeps the right to its subnet and has it again when it comes back,
unless --release gives it up. To stop only the agent, and leave the tunnels as
they are: systemctl stop gremesh.

Exit codes: 0 it has left, or had left before; 1 failed; 2 the command line or
the configuration is wrong.`,
		Example: `  # for a while
  gremesh leave

  # for good: another host may have the subnet
  gremesh leave --release`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := file.client(cmd)
			if err != nil {
				return err
			}
			err = c.Leave(cmd.Context(), release)
			if errors.Is(err, api.ErrNoAgent) && file.hasLeft(cmd, release) {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "this host has left the mesh already")
				return err
			}
			if err != nil {
				return err
			}
			what := "left the mesh; the subnet stays this host's"
			if release {
				what = "left the mesh and gave up the subnet"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), what)
			return err
		},
	}
	cmd.Flags().BoolVar(&release, "release", false, "give up the subnet too")
	return cmd
}
