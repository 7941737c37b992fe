package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/config"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh/api"
	"github.com/gremesh/gremesh/mesh/gossip"
)

// configFile is the configuration file that a command reads.
type configFile struct {
	path  string
	named bool // by the flag or the variable: the file must exist
}

func (f *configFile) register(root *cobra.Command) {
	root.PersistentFlags().StringVar(&f.path, "config", config.DefaultFile, "configuration `FILE`; the default one may be missing")
	// This cannot fail because the flag is defined on the line above.
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
}

// choose takes the file from the environment if the flag names none.
func (f *configFile) choose(cmd *cobra.Command) {
	f.named = cmd.Flags().Changed("config")
	if path := os.Getenv(config.FileVariable); path != "" && !f.named {
		f.path, f.named = path, true
	}
}

// load reads and checks the whole configuration. An error has the exit code for
// a wrong configuration.
func (f *configFile) load(cmd *cobra.Command) (config.Config, error) {
	cfg, err := config.Load(f.path, f.named, cmd.Flags())
	if err != nil {
		return config.Config{}, exit.Error{Code: exit.Usage, Err: err}
	}
	return cfg, nil
}

// paths returns the paths of the agent. An error has the exit code for a wrong
// configuration.
func (f *configFile) paths(cmd *cobra.Command) (config.Paths, error) {
	paths, err := config.ReadPaths(f.path, f.named, cmd.Flags())
	if err != nil {
		return config.Paths{}, exit.Error{Code: exit.Usage, Err: err}
	}
	return paths, nil
}

// client returns a client for the running agent.
func (f *configFile) client(cmd *cobra.Command) (*api.Client, error) {
	paths, err := f.paths(cmd)
	if err != nil {
		return nil, err
	}
	return api.NewClient(paths.Control), nil
}

// hasLeft reports whether this host has left the mesh, according to the state
// on its disk. With release, it reports whether the host has also given up its
// subnet.
func (f *configFile) hasLeft(cmd *cobra.Command, release bool) bool {
	paths, err := f.paths(cmd)
	if err != nil {
		return false
	}
	left, released := gossip.HasLeft(paths.StateDir)
	return released || left && !release
}
