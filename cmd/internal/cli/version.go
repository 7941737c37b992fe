package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
)

func newVersionCommand(version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this binary",
		Example: `  gremesh version -o json | jq -r .version`,
		Args:    cobra.NoArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := struct {
			Version  string `json:"version"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
		return out.print(cmd, v, func(render.Styler) string {
			return fmt.Sprintf("gremesh %s (%s, %s)\n", v.Version, v.Go, v.Platform)
		})
	}
	return cmd
}
