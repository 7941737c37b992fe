package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/cmd/internal/machine"
	"github.com/gremesh/gremesh/mesh/journal"
)

func newHistoryCommand(file *configFile) *cobra.Command {
	var number int
	var since time.Duration
	cmd := &cobra.Command{
		Use:        "history",
		SuggestFor: []string{"events", "log"},
		Short:      "Show what changed on this host, when and why",
		Long: `Show the last changes that gremesh made on this host and the events that it
noticed, the newest last. A change shows the former and the new state, and the
cause if it is known. Events are: a peer joined, failed, left or returned; a
tunnel went down or came up; a problem appeared or was cleared. The former state
of an event shows how long it lasted.

The last 1,000 entries are kept in state_dir. They survive restarts of the agent,
and the agent need not run.

Exit codes: 0 shown, even if the list is empty; 1 failed, or no agent has run
with this state_dir; 2 the command line or the configuration is wrong.`,
		Example: `  gremesh history

  # what happened in the last hour
  gremesh history --since 1h

  # outages of tunnels, with the duration in seconds
  gremesh history -n 0 -o json | jq -r '.[] | select(.event == "tunnel-up" and .after_seconds) | [.time, .object, .after_seconds] | @tsv'

  # what another program changes again and again
  gremesh history -n 0 -o json | jq -r '.[] | select(.cause == "changed by another program") | .object' | sort | uniq -c`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVarP(&number, "number", "n", 20, "show the last `N` entries; 0: all that are kept")
	cmd.Flags().DurationVar(&since, "since", 0, "show all entries of the last `DURATION`, such as 90m or 24h, or with -n the last of them")
	for _, flag := range []string{"number", "since"} {
		// This cannot fail because both flags are defined above.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if number < 0 || since < 0 {
			return exit.Error{Code: exit.Usage, Err: errors.New("--number and --since must not be negative")}
		}
		paths, err := file.paths(cmd)
		if err != nil {
			return err
		}
		dir := paths.StateDir
		all, err := journal.Read(dir)
		if err != nil {
			return err
		}
		if len(all) == 0 && !machine.HasState(dir) {
			return fmt.Errorf("no history in %s: no agent has run with this state_dir", dir)
		}
		limit := number
		if cmd.Flags().Changed("since") {
			all = journal.Since(all, time.Now().Add(-since))
			if !cmd.Flags().Changed("number") {
				limit = 0
			}
		}
		if limit > 0 {
			all = journal.Newest(all, limit)
		}
		return out.print(cmd, all, func(render.Styler) string { return render.History(all) })
	}
	return cmd
}
