package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/config"
)

func newKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen [FILE]",
		Short: "Make a gossip key",
		Long: `Make a random key of 32 bytes, as a line of base64. Without FILE it goes to
standard output; with FILE it goes to a new file that only its owner may read.
It never writes to a file that exists. If the file holds a key already, the
command says so, and the exit code is 0.

All hosts of a mesh share the key: copy it to each of them by a way you trust,
and keep it at mode 600.`,
		Example: `  gremesh keygen /etc/gremesh/key
  scp -p /etc/gremesh/key root@192.168.248.140:/etc/gremesh/key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				err := config.WriteGossipKey(args[0])
				if errors.Is(err, config.ErrKeyExists) {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%v; it is left as it is\n", err)
				}
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), config.NewGossipKey())
			return err
		},
	}
}
