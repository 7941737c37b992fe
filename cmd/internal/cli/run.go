package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/cmd/internal/machine"
)

// Program is what the command line needs from main.
type Program struct {
	Version    string              // of this binary
	Components machine.Constructor // for the verbs that change or plan changes of this machine
}

// Run runs the whole program and returns the exit code, as documented in the
// help texts. The first SIGINT or SIGTERM cancels the context of the command. A
// second one ends the process at once.
func Run(program Program, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root, started := newRoot(program)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exit.OK
	}
	code, silent := exit.CodeOf(err, started())
	if !silent {
		// If this fails, nobody can be told.
		_, _ = io.WriteString(stderr, errorText(withRootHint(err, os.Geteuid() == 0)))
	}
	return code
}

// withRootHint adds the advice to become root to a permission error of a user
// who is not root.
func withRootHint(err error, root bool) error {
	const advice = "become root"
	if root || !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), advice) {
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// errorText prefixes each line of an error with the program's name, so that
// each of several joined errors has it. It drops blank lines. It does not
// prefix indented lines, because they belong to the line above.
func errorText(err error) string {
	var b strings.Builder
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, " \t\n")
		switch {
		case line == "":
			continue
		case line[0] != ' ' && line[0] != '\t':
			b.WriteString("gremesh: ")
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
