package render

import (
	"cmp"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/gremesh/gremesh/mesh/journal"
)

// History formats the output of `gremesh history` as a table.
func History(all []journal.Change) string {
	if len(all) == 0 {
		return "no changes and no events\n"
	}
	t := newTable()
	t.AppendHeader(table.Row{"TIME (UTC)", "OBJECT", "WAS", "IS", "CAUSE", "TOOK"})
	for _, c := range all {
		took := "-"
		if c.Event == "" {
			took = time.Duration(c.Seconds * float64(time.Second)).Round(time.Millisecond).String()
		}
		t.AppendRow(table.Row{
			c.Time.UTC().Format(time.DateTime), c.Object, cmp.Or(c.Was, "-"), cmp.Or(c.Is, "-"), cmp.Or(c.Cause, "-"), took,
		})
	}
	return t.Render() + "\n"
}
