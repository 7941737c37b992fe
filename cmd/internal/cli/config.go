package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/examples"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/settings"
)

const configExits = `
Exit codes: 0 done; 1 the agent refused or did not answer; 2 the command line or
the configuration is wrong, or there is no such setting.`

func newConfigCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and change the settings that all hosts share",
		Long: `Show and change the settings of the mesh. They are one versioned record that
every host keeps. A change on any host reaches all others, and a host that was
away takes it when it is back. The settings of one host are in gremesh.yaml.

If gremesh.yaml, an environment variable or a flag of a host has a key of the
mesh settings, that value is pinned: it counts on that host, and "gremesh status"
there reports a problem while the mesh has another value.
` + configExits,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShowCommand(file), newConfigGetCommand(file), newConfigSetCommand(file), newConfigExampleCommand())
	return cmd
}

func newConfigShowCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show each setting of the mesh and where it comes from",
		Long: `Ask the running agent for the settings of the mesh: the value that counts on this
host, and where it comes from.
` + configExits,
		Example: `  gremesh config show

  # values that this host pins
  gremesh config show -o json | jq -r '.settings[] | select(.origin == "pinned") | .key'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := show(cmd, file, out, (*api.Client).Settings, render.Settings)
		return err
	}
	return cmd
}

func newConfigExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "example",
		Short:             "Print a gremesh.yaml with every key and its meaning",
		Example:           `  gremesh config example > /etc/gremesh/gremesh.yaml`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), examples.Configuration)
			return err
		},
	}
}

func newConfigGetCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Print one setting of the mesh",
		Long: `Ask the running agent for one setting and print the value that counts on this
host.
` + configExits,
		Example:           `  gremesh config get tunnel.type`,
		ValidArgsFunction: completeSetting,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one setting, as \"gremesh config show\" lists them: gremesh config get KEY")
			}
			return nil
		},
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		list, err := c.Settings(cmd.Context())
		if err != nil {
			return err
		}
		for _, s := range list.Settings {
			if s.Key == args[0] {
				return out.print(cmd, s, func(render.Styler) string { return s.Value + "\n" })
			}
		}
		_, err = settings.Lookup(args[0])
		return exit.Error{Code: exit.Usage, Err: err}
	}
	return cmd
}

func newConfigSetCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set KEY VALUE [KEY VALUE]...",
		Short: "Change settings on all hosts of the mesh",
		Long: `Change settings of the mesh. This may run on any host. All given settings change
together, or none does.

The change needs no majority. It is on the disk of this host when the command
returns, and on every host that this one reaches within a second. If two hosts
change the settings at the same time, or in two halves of a mesh that is cut in
two, one of the changes is lost: the higher version counts, then the higher host
ID. "gremesh config show" tells which one it is.

tunnel.key, tunnel.type: each pair of hosts loses packets for at most one second.
With a key, the MTU of GRE tunnels is 4 bytes smaller; the agents change the MTU
of docker0 and daemon.json, and do not restart Docker.
` + configExits,
		Example: `  # give the tunnels of a running mesh a random key
  gremesh config set tunnel.key random

  # change two settings that depend on each other
  gremesh config set tunnel.type vxlan tunnel.fallback none`,
		ValidArgsFunction: completeSettings,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args)%2 != 0 {
				return errors.New("name settings and their values: gremesh config set KEY VALUE")
			}
			return nil
		},
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var changes []settings.Value
		for pair := range slices.Chunk(args, 2) {
			d, err := settings.Lookup(pair[0])
			if err == nil {
				_, err = d.Canonical(pair[1])
			}
			if err != nil {
				return exit.Error{Code: exit.Usage, Err: err}
			}
			changes = append(changes, settings.Value{Key: pair[0], Text: pair[1]})
		}
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		list, err := c.Set(cmd.Context(), changes)
		if err != nil {
			return err
		}
		for _, s := range list.Settings {
			if s.Origin == mesh.OriginPinned && s.Value != s.Mesh {
				cmd.PrintErrf("gremesh: this host keeps %s %s, which is pinned in %s: remove it there and restart the agent\n", s.Key, s.Value, s.Where)
			}
		}
		return out.print(cmd, list, func(render.Styler) string { return render.ChangedSettings(list, changes) })
	}
	return cmd
}

// completeSetting completes the name of one setting.
func completeSetting(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, d := range settings.Definitions() {
		names = append(names, cobra.CompletionWithDesc(d.Name, d.Help))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeSettings completes pairs of a name and a value. It does not offer
// settings that cannot change.
func completeSettings(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var offers []cobra.Completion
	if len(args)%2 == 0 {
		for _, d := range settings.Definitions() {
			if d.Fixed == "" {
				offers = append(offers, cobra.CompletionWithDesc(d.Name, d.Help))
			}
		}
	} else if d, err := settings.Lookup(args[len(args)-1]); err == nil {
		offers = d.Choices
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
