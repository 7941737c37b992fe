package render

import (
	"fmt"
	"strings"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/drift"
)

// Plan formats the plan as a shell script: commands, and comments that
// describe the changes.
func Plan(p mesh.Preview) string {
	var b strings.Builder
	comment := func(format string, args ...any) {
		for line := range strings.Lines(fmt.Sprintf(format, args...)) {
			b.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	comment("%s, %s", p.Host, prefixText(p.Subnet))
	for _, what := range p.Assumed {
		comment("assumed: %s", what)
	}
	for _, problem := range p.Problems {
		comment("problem: %s", problem.What)
		if problem.Do != "" {
			comment("  %s", problem.Do)
		}
	}
	switch {
	case !p.Subnet.IsValid():
		comment("nothing would be changed, because this host holds no lease: %s", p.Waiting)
		return b.String()
	case len(p.Drift) == 0:
		comment("nothing would be changed")
		return b.String()
	}
	b.WriteString("set -e\n")
	for _, d := range p.Drift {
		b.WriteString("\n")
		comment("%s", change(d))
		if key, ok := strings.CutPrefix(d.Object, "daemon.json "); ok {
			comment("to be done by hand, in %s: %s", p.DaemonJSON, jsonKey(key, d.Should))
		} else if len(d.Commands) == 0 {
			comment("to be done by hand")
		}
		for _, command := range d.Commands {
			b.WriteString(command + "\n")
		}
	}
	return b.String()
}

// change describes a planned change as the observed and the desired state.
func change(d drift.Drift) string {
	switch {
	case d.Is == "":
		return fmt.Sprintf("%s: missing -> %s", d.Object, d.Should)
	case d.Should == "":
		return fmt.Sprintf("%s: %s -> gone", d.Object, d.Is)
	}
	return fmt.Sprintf("%s: %s -> %s", d.Object, d.Is, d.Should)
}

// jsonKey formats a key as it appears in daemon.json. The bip is a string
// there, and the MTU is a number.
func jsonKey(key, value string) string {
	if strings.Trim(value, "0123456789") != "" {
		value = fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%q: %s", key, value)
}
