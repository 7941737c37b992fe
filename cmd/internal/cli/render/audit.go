package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
)

// Audit formats the output of `gremesh audit` as text. Each difference is
// one line, so that tools such as wc and cut can process it.
func Audit(a mesh.Audit, p Styler) string {
	var b strings.Builder
	for _, d := range a.Drift {
		fmt.Fprintln(&b, p.in(text.FgYellow, d.String()))
	}
	if a.Paths.Wanted > 0 {
		fmt.Fprintf(&b, "%s\n", pathTotals(a.Paths))
	}
	switch {
	case len(a.Drift) > 0:
	case len(a.Paths.Problems) > 0:
		b.WriteString("no drift was found on this host, but paths to peers do not carry packets\n")
	case len(a.Problems) > 0:
		b.WriteString("can't tell: no drift was found, but not all could be judged\n")
	default:
		b.WriteString(p.in(text.FgGreen, "clean") + ": the switch, docker0, routes and daemon.json are as they should be\n")
	}
	writeProblems(&b, slices.Concat(a.Problems, a.Paths.Problems, a.Filtered), p)
	return b.String()
}
