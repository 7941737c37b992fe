package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
)

func newLeasesCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "leases",
		Short: "Show every subnet that is not free, and whose it is",
		Long: `Ask the running agent for every subnet of the pool that is not free: the host
that it belongs to, and since when, as seen from this host.

A lease is "held"; "claiming" or "renumbering" while its host asks for it; "left"
when its host has left and may come back to it; "expired" when its host has been
silent for longer than lease_ttl, so that another host may take it. "lost" marks a
host whose subnet another host holds by an older lease.

Exit codes: 0 the agent answered; 1 it did not; 2 the command line or the
configuration is wrong.`,
		Example: `  gremesh leases

  # subnets of hosts that have not been seen for a day
  gremesh leases -o json | jq -r '.[] | select(.host == "failed") | [.subnet, .name, .last_seen] | @tsv'`,
		Args: cobra.NoArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := show(cmd, file, out, (*api.Client).Leases, func(leases []mesh.Lease, p render.Styler) string {
			return render.Leases(leases, time.Now(), p)
		})
		return err
	}
	return cmd
}
