package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/offline"
	"github.com/gremesh/gremesh/mesh/api"
)

func newPlanCommand(program Program, file *configFile) *cobra.Command {
	var peers string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what the agent would change now, as commands",
		Long: `Show what the agent would change on this host now, as ordinary ovs-vsctl, ip, nft
and sysctl commands. The command changes nothing. Its output is a script: a shell
that runs it makes the same changes as the agent. Keys of daemon.json and
Docker's restart, which stops containers, are comments in it.

The command asks the running agent. Without an agent it reads the machine itself,
and the state of the mesh in state_dir. For a host that was never in a mesh it
assumes the subnet that the host would ask for first, and the script says so.

Exit codes: 0 shown, even if there is nothing to change; 1 failed, or a part of
the machine could not be read; 2 the command line or the configuration is wrong.`,
		Example: `  gremesh plan

  # do it by hand
  gremesh plan | sh

  # before the first start, with the flags that the agent will get
  gremesh plan --join 192.168.248.139

  # before the first start, with the other hosts as they will be
  gremesh plan --assume-peers peers.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&peers, "assume-peers", "", "a list of hosts, as YAML or JSON, for a mesh that does not exist yet: `FILE` like examples/peers.yaml")
	// This cannot fail because the flag is defined above.
	_ = cmd.MarkFlagFilename("assume-peers", "yaml", "yml", "json")
	config.MeshFlags(cmd.Flags())
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		preview, err := c.Plan(cmd.Context())
		switch {
		case errors.Is(err, api.ErrNoAgent):
			cfg, err := file.load(cmd)
			if err != nil {
				return err
			}
			if preview, err = offline.Plan(cmd.Context(), cfg, program.Components, peers); err != nil {
				return err
			}
		case err != nil:
			return err
		case peers != "":
			return offline.ErrPeersKnown
		}
		if len(preview.Unseen) > 0 {
			return errors.New(strings.Join(preview.Unseen, "\n"))
		}
		return out.print(cmd, preview, func(render.Styler) string { return render.Plan(preview) })
	}
	return cmd
}
