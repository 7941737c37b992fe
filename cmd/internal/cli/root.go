package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/exit"
)

// newRoot builds the command tree. started reports whether the command line was
// correct and a command has started.
func newRoot(program Program) (root *cobra.Command, started func() bool) {
	running := false
	var file configFile
	root = &cobra.Command{
		Use:   "gremesh",
		Short: "Join the Docker hosts of one site into one container network",
		Long: `gremesh joins the Docker hosts of one site into one container network. One
agent runs on each host. Hosts find each other by gossip, each takes a distinct
docker0 address out of one pool, and each builds an Open vSwitch bridge with a
tunnel to every other host.

Configuration comes from the file, then from the environment, then from flags;
the later one wins. The variable of a key is its name in capitals with
underscores: GREMESH_MESH_PORT is mesh.port. Lists take commas or spaces.
GREMESH_CONFIG is the file, unless --config names one. An empty variable counts
as not set.

Exit codes: 0 done; 1 failed; 2 the command line or the configuration is wrong.
"gremesh audit" and "gremesh status --check" also have 3: see their help.`,
		Example: `  # the first host of a new mesh
  gremesh keygen /etc/gremesh/key
  gremesh agent --bootstrap

  # every other host, with a copy of the key
  gremesh agent --join 192.168.248.139

  # check it
  gremesh status
  gremesh audit`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			running = true
			file.choose(cmd)
		},
	}
	file.register(root)
	root.AddCommand(
		newAgentCommand(program, &file),
		newStatusCommand(&file),
		newAuditCommand(&file),
		newPlanCommand(program, &file),
		newConfigCommand(&file),
		newHistoryCommand(&file),
		newAdoptCommand(&file),
		newLeasesCommand(&file),
		newForgetCommand(&file),
		newRenumberCommand(&file),
		newRetryCommand(&file),
		newLeaveCommand(&file),
		newUninstallCommand(program, &file),
		newResetIdentityCommand(&file),
		newKeygenCommand(),
		newVersionCommand(program.Version),
	)
	for _, cmd := range root.Commands() {
		if cmd.Name() != "keygen" { // the only command that takes a file
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		for _, flag := range []string{"join", "name", "advertise", "to"} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions) // cannot fail because the flag exists
			}
		}
	}
	root.Version = program.Version
	root.SetVersionTemplate("gremesh {{.Version}}\n")
	refuseUnknownTopics(root)
	return root, func() bool { return running }
}

// refuseUnknownTopics makes `help` and `completion` fail on an unknown
// argument. By default they print the usage and succeed.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.PersistentPreRun = nil, func(*cobra.Command, []string) {}
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				topic, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return exit.Error{Code: exit.Usage, Err: fmt.Errorf("no help on %q: run `gremesh help` for the list of commands", strings.Join(args, " "))}
				}
				topic.InitDefaultHelpFlag()
				return topic.Help()
			}
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() } // a command with RunE checks its arguments
		}
	}
}
