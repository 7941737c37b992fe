package main

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
)

// output is the -o flag: how a command prints. It is a pflag.Value.
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

// outputFlag gives a command the -o flag, with its completion.
func outputFlag(cmd *cobra.Command) *output {
	o := asTable
	cmd.Flags().VarP(&o, "output", "o", "output format")
	// The flag exists: it was made on the line above.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs(), cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// print writes value as JSON, or the text that render makes of it.
func (o *output) print(cmd *cobra.Command, value any, render func(paint) string) error {
	w := cmd.OutOrStdout()
	if *o == asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	_, err := io.WriteString(w, render(paint(coloured(w))))
	return err
}

// show asks the running agent something and prints what it answers.
func show[T any](
	cmd *cobra.Command, file *configFile, out *output,
	get func(*client, context.Context) (T, error), render func(T, paint) string,
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
	return answer, out.print(cmd, answer, func(p paint) string { return render(answer, p) })
}

// coloured tells whether w is a terminal whose user has not said otherwise
// (no-color.org).
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
