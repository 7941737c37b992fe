package render

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/events"
)

// Styler adds colours to words if it is true.
type Styler bool

// state colours a word that describes a state: green is good, red is bad,
// yellow is in between.
func (p Styler) state(word string) string {
	switch word {
	case "alive", "up", "held":
		return p.in(text.FgGreen, word)
	case "failed", "down", "lost", "small", "silent", "blind", "cut":
		return p.in(text.FgRed, word)
	case "waiting", "claiming", "renumbering", "expired", "init", "admin_down":
		return p.in(text.FgYellow, word)
	}
	return word
}

func (p Styler) in(colour text.Color, word string) string {
	if !p || word == "" {
		return word
	}
	return colour.EscapeSeq() + word + text.Reset.EscapeSeq()
}

// newTable returns a table without lines, in the style of docker and ip.
func newTable() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Box:     table.BoxStyle{PaddingRight: "   "},
		Options: table.OptionsNoBordersAndSeparators,
	})
	t.SuppressTrailingSpaces()
	return t
}

// writeProblems writes each problem with its age, and the remedy below it.
func writeProblems(b *strings.Builder, problems []mesh.Problem, p Styler) {
	for i, problem := range problems {
		if i == 0 {
			b.WriteString("\n")
		}
		what := problem.What
		if !problem.Since.IsZero() {
			what += fmt.Sprintf(" (for %s)", events.Round(max(0, time.Since(problem.Since))))
		}
		fmt.Fprintf(b, "%s %s\n", p.in(text.FgRed, "!"), what)
		if problem.Do != "" {
			fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(problem.Do, "\n", "\n  "))
		}
	}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return "-"
	}
	return p.String()
}

// byteCount formats a number of bytes in the largest binary unit in which the
// value is at least one.
func byteCount(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
