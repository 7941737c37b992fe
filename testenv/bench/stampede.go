package bench

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var stampede = Table{
	Name:  "leases, simulated",
	Sizes: "hosts",
	Text: `The lease protocol alone (` + "`go test -run '^$' -bench Stampede -benchtime 1x ./mesh/lease`" + `): hosts that start in
the same instant, on a simulated network whose links have random delays; simulated milliseconds from a host's start to
its lease, and the claims and answers that it sends for it. It is the same on every machine, and there is nothing to run
in turn with it.`,
	measure: func(ctx context.Context, cfg Config, s *samples) error {
		which := "Stampede"
		if cfg.Quick {
			which += "/^10$"
		}
		test := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", which, "-benchtime", "1x",
			"github.com/gremesh/gremesh/mesh/lease")
		out, err := test.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return readStampede(string(out), s)
	},
}

// stampedeMeasures lists the units of the Go benchmark, in the order of the
// page.
var stampedeMeasures = []struct{ unit, measure, as string }{
	{"p50-ms", "to the lease, median", "ms"},
	{"p99-ms", "to the lease, of 99 in 100", "ms"},
	{"msgs/claim", "claims and answers for it", "messages"},
}

var stampedeLine = regexp.MustCompile(`(?m)^BenchmarkStampede/(\d+)\S*\s+\d+\s+(.*)$`)

// readStampede reads lines of `go test -bench`, in which each value comes
// before its unit.
func readStampede(out string, s *samples) error {
	lines := stampedeLine.FindAllStringSubmatch(out, -1)
	if len(lines) == 0 {
		return fmt.Errorf("no results in %q", out)
	}
	for _, line := range lines {
		n, err := strconv.Atoi(line[1])
		if err != nil {
			return err
		}
		words := strings.Fields(line[2])
		for _, m := range stampedeMeasures {
			i := slices.Index(words, m.unit)
			if i < 1 {
				return fmt.Errorf("no %s in %q", m.unit, line[0])
			}
			value, err := strconv.ParseFloat(words[i-1], 64)
			if err != nil {
				return fmt.Errorf("%s: %w", line[0], err)
			}
			s.add(m.measure, byAgents.name, n, m.as, value)
		}
	}
	return nil
}
