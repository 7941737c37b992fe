package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newForgetCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget HOST",
		Short: "Take a host that is gone for good off the books, everywhere",
		Long: `Take a host that is gone for good off the books of the whole mesh. HOST is its
name or its ID, as "gremesh leases" shows them; this may run on any host.

Its subnet becomes free, and new hosts need not wait for its vote any more. A
host that is forgotten by mistake keeps its containers, and asks for its subnet
again when it is back: it gets it unless someone has taken it meanwhile. To
forget a host that is alive where this one can't see it is such a mistake.

Exit codes: 0 it is forgotten; 1 it is not; 2 the command line or the
configuration is wrong, or there is no terminal to ask on.`,
		Example: `  # the host named h3 was scrapped
  gremesh forget h3

  # in a script
  gremesh forget --yes 5414c3d415a635a2d11c38f03bcac332`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one host, as \"gremesh leases\" shows it: gremesh forget HOST")
			}
			return nil
		},
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		host := args[0]
		if err := confirm(cmd, *yes, fmt.Sprintf("%s will be forgotten on every host, and its subnet given to whoever asks for it.\n"+
			"That is right only if it is gone for good, not if it is merely cut off.", host)); err != nil {
			return err
		}
		if err := c.forget(cmd.Context(), host); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten, and its subnet is free\n", host)
		return err
	}
	return cmd
}
