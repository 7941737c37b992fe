package preflight

import (
	"context"
	"fmt"
	"strings"
)

// Finding is something that is wrong with a host.
type Finding struct {
	What string // what is missing, does not work or is in the way
	Do   string // the command that corrects it
	// Tolerable reports whether the agent can start all the same: time may mend
	// it, such as a service that starts at boot, or the mesh works in spite of it.
	Tolerable bool
}

// String is the finding on one line: "WHAT: DO".
func (f Finding) String() string {
	if f.Do == "" {
		return f.What
	}
	return f.What + ": " + f.Do
}

// Check looks for one thing. It returns nothing if the host is as it should be.
type Check func(context.Context) []Finding

// Run runs the checks in order and returns all that they found.
func Run(ctx context.Context, checks ...Check) []Finding {
	var all []Finding
	for _, check := range checks {
		all = append(all, check(ctx)...)
	}
	return all
}

// Error lists all findings that are not tolerable; nil if there is none.
func Error(all []Finding) error {
	var lines []string
	for _, f := range all {
		if !f.Tolerable {
			lines = append(lines, "  "+f.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("this host is not ready for gremesh; nothing was changed:\n%s", strings.Join(lines, "\n"))
}
