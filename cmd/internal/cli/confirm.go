package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/exit"
)

// yesFlag adds the flag --yes to a command that cannot be undone.
func yesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "do not ask")
}

var errNotConfirmed = errors.New("nothing was done")

// confirm shows the effect of a command and asks for permission, unless yes is
// set. Without a terminal it returns a usage error, because nobody could
// answer.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	if !isTerminal(cmd.OutOrStdout()) {
		return exit.Error{Code: exit.Usage, Err: errors.New("there is no terminal to ask on: give --yes to go ahead without a question")}
	}
	return ask(cmd.InOrStdin(), cmd.OutOrStdout(), what)
}

func ask(in io.Reader, out io.Writer, what string) error {
	if _, err := fmt.Fprintf(out, "%s\nGo ahead? [y/N] ", what); err != nil {
		return err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errNotConfirmed
}
