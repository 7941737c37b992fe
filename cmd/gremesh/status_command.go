package main

import (
	"github.com/spf13/cobra"
)

func newStatusCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:        "status",
		SuggestFor: []string{"members", "peers", "hosts", "info"},
		Short:      "Show this host, its peers and their tunnels",
		Long: `Ask the running agent for this host, its peers, the tunnel to each of them, and
what is wrong.

RX and TX count the bytes that the tunnel has carried in and out. BFD is the
state of the probe through the tunnel: "up" means that packets pass both ways.

Exit codes: 0 the agent answered, be its answer good or bad; 1 it did not;
2 the command line or the configuration is wrong.`,
		Example: `  gremesh status

  # peers whose tunnel carries nothing
  gremesh status -o json | jq -r '.peers[]? | select(.tunnel.bfd != "up") | .name'`,
		Args: cobra.NoArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := show(cmd, file, out, (*client).status, renderStatus)
		return err
	}
	return cmd
}
