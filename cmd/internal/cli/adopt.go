package cli

import (
	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
)

func newAdoptCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take over tunnel ports that were made by hand",
		Long: `Ask the running agent which tunnel ports on the OVS bridge were made by hand and
lead where gremesh's own would. Show them, with the commands that make them
gremesh's, and the ports that stay as they are, with the reason. Then, after a
question, take over the former.

A port that is taken over is protected, gets BFD and keeps its name. It carries
packets without interruption. From then on gremesh keeps it as it should be, and
deletes it when its peer, or this host, leaves. BFD comes up when the port at the
other end is gremesh's, too.

Exit codes: 0 all ports that can be are taken over, or there is none; 1 failed, or
the answer was no; 2 the command line or the configuration is wrong, or there is
no terminal to ask on.`,
		Example: `  # on one host after the other
  gremesh adopt

  # in a script
  gremesh adopt --yes -o json`,
		Args: cobra.NoArgs,
	}
	yes, out := yesFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		adoption, err := c.Adoptable(cmd.Context())
		if err != nil {
			return err
		}
		if len(adoption.Ports) == 0 {
			return out.print(cmd, adoption, func(p render.Styler) string { return render.Adoptable(adoption, p) })
		}
		if *out == asTable {
			if err := out.print(cmd, adoption, func(p render.Styler) string { return render.Adoptable(adoption, p) + "\n" }); err != nil {
				return err
			}
		}
		if err := confirm(cmd, *yes, "These ports become gremesh's."); err != nil {
			return err
		}
		if adoption, err = c.Adopt(cmd.Context()); err != nil {
			return err
		}
		return out.print(cmd, adoption, func(render.Styler) string { return render.Adopted(adoption) })
	}
	return cmd
}
