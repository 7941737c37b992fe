package render

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh/api"
)

// Uninstall formats the plan as text: each difference, with the commands
// that would correct it below.
func Uninstall(plan api.UninstallPlan, p Styler) string {
	var b strings.Builder
	if plan.IsEmpty() {
		b.WriteString("nothing of gremesh is on this host\n")
	}
	if plan.GivesUp.IsValid() {
		b.WriteString(p.in(text.FgYellow, fmt.Sprintf("mesh: this host leaves, and %s is given up", plan.GivesUp)) + "\n")
	}
	for _, d := range plan.Changes {
		b.WriteString(p.in(text.FgYellow, d.String()) + "\n")
		for _, c := range d.Commands {
			b.WriteString("  " + c + "\n")
		}
	}
	if plan.State != "" {
		b.WriteString(p.in(text.FgYellow, "files: "+plan.State+" is removed, when all else is done") + "\n")
	}
	for _, stays := range plan.Stays {
		b.WriteString(stays + "\n")
	}
	for _, problem := range plan.Problems {
		b.WriteString(p.in(text.FgRed, "!") + " " + problem + "\n")
	}
	return b.String()
}
