package cli

import (
	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/daemon"
)

func newAgentCommand(program Program, file *configFile) *cobra.Command {
	var profile bool
	cmd := &cobra.Command{
		Use:        "agent",
		SuggestFor: []string{"run", "start", "join", "init", "daemon"},
		Short:      "Run this host in the foreground",
		Long: `Run this host: join the mesh, take a subnet, and keep Open vSwitch, docker0 and
daemon.json as they should be until stopped.

The agent first checks the whole configuration, and whether this host has Open
vSwitch, nft and Docker. It reports all faults of the configuration at once, and
has changed nothing on the machine by then. Logs go to standard error.

--bootstrap creates a mesh, unless a host on the same network is in a mesh with
the same key; then this host joins that mesh. --join overrides mesh.bootstrap. If
this host lost its state and has since created a mesh of its own, it gives up
that mesh and joins the other.

SIGTERM and SIGINT stop the agent and nothing else: tunnels and routes stay, and
containers keep talking. To take this host out of the mesh: gremesh leave.

Exit codes: 0 stopped; 1 failed; 2 the command line or the configuration is wrong,
or a host without a lease lacks Open vSwitch, nft or Docker.`,
		Example: `  # the first host of a new mesh, and only there
  gremesh agent --bootstrap

  # every other host: one or more that are in the mesh
  gremesh agent --join 192.168.248.139 --join 192.168.248.140

  # under systemd, with all of it in /etc/gremesh/gremesh.yaml
  systemctl enable --now gremesh`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := file.load(cmd)
			if err != nil {
				return err
			}
			cfg.Profile = profile
			return daemon.Run(cmd.Context(), cfg, daemon.Options{Version: program.Version, Components: program.Components, Log: newLogger(cmd.ErrOrStderr(), cfg.Log)})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&profile, "pprof", false, "answer /debug/pprof/ at the control socket, to root")
	config.MeshFlags(flags)
	return cmd
}
