package preflight

import (
	"context"
	"fmt"
	"strings"
)

// Finding is something that a host lacks.
type Finding struct {
	What string // what is missing or does not work
	Do   string // the command that installs or starts it
	// Heals reports whether time may mend it, such as a service that starts at
	// boot: then the agent starts and waits for it.
	Heals bool
}

// String is the finding on one line: "WHAT: DO".
func (f Finding) String() string { return f.What + ": " + f.Do }

// Check looks for one thing. It returns nil if the host has it.
type Check func(context.Context) *Finding

// Run runs the checks in order and returns what they found.
func Run(ctx context.Context, checks ...Check) []Finding {
	var all []Finding
	for _, check := range checks {
		if f := check(ctx); f != nil {
			all = append(all, *f)
		}
	}
	return all
}

// Error lists the findings that time does not mend; nil if there is none.
func Error(all []Finding) error {
	var lines []string
	for _, f := range all {
		if !f.Heals {
			lines = append(lines, "  "+f.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("this host lacks what gremesh needs; nothing was changed:\n%s", strings.Join(lines, "\n"))
}
