package preflight

import (
	"context"
	"fmt"
	"strings"
)

// Finding is one fault of a host.
type Finding struct {
	What string // what is missing, does not work or conflicts
	Do   string // the command that corrects it
	// Tolerable reports whether the agent can start in spite of the finding.
	// Either the fault may disappear by itself, such as a service that starts
	// at boot, or the mesh works without a correction.
	Tolerable bool
}

// String returns the finding on one line: "WHAT: DO", or "WHAT" without a Do.
func (f Finding) String() string {
	if f.Do == "" {
		return f.What
	}
	return f.What + ": " + f.Do
}

// Check examines one aspect of the host. It returns nothing if it finds no
// fault.
type Check func(context.Context) []Finding

// Run runs the checks in order and returns all findings.
func Run(ctx context.Context, checks ...Check) []Finding {
	var all []Finding
	for _, check := range checks {
		all = append(all, check(ctx)...)
	}
	return all
}

// Error returns an error that lists all findings that are not tolerable. It
// returns nil if there are none.
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
