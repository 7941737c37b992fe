package cli

import (
	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
)

func newStatusCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:        "status",
		SuggestFor: []string{"members", "peers", "hosts", "info"},
		Short:      "Show this host, its peers and their tunnels",
		Long: `Ask the running agent for this host, its peers, the tunnel to each of them, and
what is wrong.

BFD is the state of the tunnel itself. PATH is whether ARP probes from docker0 to
the peer's docker0 are answered; they take the way of containers' packets, through
br0's flows. "small" means that packets of docker0's MTU are lost. RTT and LOSS are
of the last 20 probes. A tunnel counts as up only if BFD and path are up.

RX and TX count the bytes that the tunnel has carried in and out.

With --check the exit code says whether this host is healthy: it holds a lease,
Open vSwitch runs, the tunnel to every alive peer is up, and there is no problem.

Exit codes:
  0  the agent answered; with --check: the host is healthy
  1  the agent did not answer; with --check: the host is not healthy
  2  the command line or the configuration is wrong
  3  with --check: the agent did not answer`,
		Example: `  gremesh status

  # peers whose tunnel carries nothing
  gremesh status -o json | jq -r '.peers[]? | select(.tunnel.bfd != "up" or .path.up != true) | .name'

  # for a monitoring system
  gremesh status --check >/dev/null || echo "this host needs attention"`,
		Args: cobra.NoArgs,
	}
	check := cmd.Flags().Bool("check", false, "exit with 1 if this host is not healthy, and with 3 if its agent does not answer")
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		status, err := show(cmd, file, out, (*api.Client).Status, render.Status)
		if !*check {
			return err
		}
		return auditEnd(err, checkExit(status))
	}
	return cmd
}

// checkExit returns the error with the exit code of --check for a status: nil
// if this host is healthy.
func checkExit(status mesh.Status) error {
	if !status.Healthy() {
		return exit.Error{Code: exit.Drift}
	}
	return nil
}
