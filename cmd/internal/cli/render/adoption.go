package render

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
)

// Adoptable formats the ports that would be adopted, for people.
func Adoptable(a mesh.Adoption, p Styler) string {
	var b strings.Builder
	if len(a.Ports) == 0 {
		b.WriteString("nothing to adopt: no tunnel port that was made by hand leads where one of gremesh's should\n")
	}
	for _, port := range a.Ports {
		fmt.Fprintf(&b, "%s\n", p.in(text.FgYellow, port.String()))
		for _, command := range port.Commands {
			fmt.Fprintf(&b, "  %s\n", command)
		}
	}
	writeProblems(&b, a.Left, p)
	return b.String()
}

// Adopted formats the ports that were adopted, for people.
func Adopted(a mesh.Adoption) string {
	var b strings.Builder
	for _, port := range a.Ports {
		fmt.Fprintf(&b, "%s is gremesh's now\n", port.Object)
	}
	return b.String()
}
