package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/mesh/api"
)

// output is the value of the -o flag: the format in which a command prints. It
// implements pflag.Value.
type output string

const (
	asTable output = "table"
	asJSON  output = "json"
)

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "table|json" }

func (o *output) Set(value string) error {
	if !slices.Contains(outputs(), value) {
		return fmt.Errorf("must be one of %s", strings.Join(outputs(), ", "))
	}
	*o = output(value)
	return nil
}

func outputs() []string { return []string{string(asTable), string(asJSON)} }

// outputFlag adds the -o flag and its completion to a command.
func outputFlag(cmd *cobra.Command) *output {
	o := asTable
	cmd.Flags().VarP(&o, "output", "o", "output format")
	// This cannot fail because the flag is defined on the line above.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs(), cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// print writes value as JSON, or as the text that draw returns.
func (o *output) print(cmd *cobra.Command, value any, draw func(render.Styler) string) error {
	w := cmd.OutOrStdout()
	if *o == asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	_, err := io.WriteString(w, draw(render.Styler(coloured(w))))
	return err
}

// show requests a value from the running agent, prints it and returns it.
func show[T any](
	cmd *cobra.Command, file *configFile, out *output,
	get func(*api.Client, context.Context) (T, error), draw func(T, render.Styler) string,
) (T, error) {
	var nothing T
	c, err := file.client(cmd)
	if err != nil {
		return nothing, err
	}
	answer, err := get(c, cmd.Context())
	if err != nil {
		return nothing, err
	}
	return answer, out.print(cmd, answer, func(p render.Styler) string { return draw(answer, p) })
}

// coloured reports whether to print colours to w. It requires that w is a
// terminal and that the user has not disabled colours (no-color.org).
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
