package main

import (
	"cmp"
	"errors"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh/history"
)

func newHistoryCommand(file *configFile) *cobra.Command {
	var number int
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show what was changed on this host, and why",
		Long: `Show the last changes that gremesh made on this host, the newest last: when, what,
what it was and what it is now, and what made it necessary, where that is known.
The last 1,000 are kept in state_dir, over restarts of the agent. It need not
run.

Exit codes: 0 shown, be it that there are none; 1 failed; 2 the command line or
the configuration is wrong.`,
		Example: `  gremesh history

  # what happened in the last hour
  gremesh history --since 1h

  # what another program changes again and again
  gremesh history -n 0 -o json | jq -r '.[] | select(.cause == "changed by another program") | .object' | sort | uniq -c`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().IntVarP(&number, "number", "n", 20, "show the last `N` changes; 0: all that are kept")
	cmd.Flags().DurationVar(&since, "since", 0, "show all changes of the last `DURATION`, such as 90m or 24h, or with -n the last of them")
	for _, flag := range []string{"number", "since"} {
		// The flags exist: they were made above.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if number < 0 || since < 0 {
			return exitErr{exitUsage, errors.New("--number and --since must not be negative")}
		}
		s, err := readSettings(file.path, file.named, cmd.Flags())
		if err != nil {
			return exitErr{exitUsage, err}
		}
		all, err := history.Read(s.GetString("state_dir"))
		if err != nil {
			return err
		}
		limit := number
		if cmd.Flags().Changed("since") {
			all = history.Since(all, time.Now().Add(-since))
			if !cmd.Flags().Changed("number") {
				limit = 0
			}
		}
		if limit > 0 {
			all = history.Newest(all, limit)
		}
		return out.print(cmd, all, func(paint) string { return renderHistory(all) })
	}
	return cmd
}

// renderHistory is `gremesh history` for people.
func renderHistory(all []history.Change) string {
	if len(all) == 0 {
		return "nothing was changed\n"
	}
	t := newTable()
	t.AppendHeader(table.Row{"TIME (UTC)", "OBJECT", "WAS", "IS", "CAUSE", "TOOK"})
	for _, c := range all {
		took := time.Duration(c.Seconds * float64(time.Second)).Round(time.Millisecond)
		t.AppendRow(table.Row{
			c.Time.UTC().Format(time.DateTime), c.Object, cmp.Or(c.Was, "-"), cmp.Or(c.Is, "-"), cmp.Or(c.Cause, "-"), took,
		})
	}
	return t.Render() + "\n"
}
