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

// client returns a client for the running agent. It reads only the key control,
// so the command works while someone edits the file.
func (f *configFile) client(cmd *cobra.Command) (*api.Client, error) {
	s, err := config.Read(f.path, f.named, cmd.Flags())
	if err != nil {
		return nil, exit.Error{Code: exit.Usage, Err: err}
	}
	return api.NewClient(s.GetString("control")), nil
}

// hasLeft reports whether this host has left the mesh, according to the state
// on its disk. With release, it reports whether the host has also given up its
// subnet.
func (f *configFile) hasLeft(cmd *cobra.Command, release bool) bool {
	s, err := config.Read(f.path, cmd.Flags().Changed("config"), cmd.Flags())
	if err != nil {
		return false
	}
	left, released := gossip.HasLeft(s.GetString("state_dir"))
	return released || left && !release
}
