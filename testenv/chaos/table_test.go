package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// table is what came of the faults, by name. Of several at once each counts
// with the time that all took.
type table map[string]*row

type row struct {
	repairs []time.Duration
	outage  time.Duration
	pair    testenv.Pair
}

func (t table) add(s step, repair, outage time.Duration, pair testenv.Pair) {
	for _, strike := range s.strikes {
		r := t[strike.Name]
		if r == nil {
			r = &row{}
			t[strike.Name] = r
		}
		r.repairs = append(r.repairs, repair)
		if outage > r.outage {
			r.outage, r.pair = outage, pair
		}
	}
}

// String is the table in Markdown, in seconds.
func (t table) String() string {
	var b strings.Builder
	b.WriteString("| fault | drawn | repaired, median | repaired, worst | worst outage of a pair |\n|---|---|---|---|---|\n")
	var all row
	line := func(name string, r row) {
		slices.Sort(r.repairs)
		n := len(r.repairs)
		fmt.Fprintf(&b, "| %s | %d | %.2f | %.2f | %.2f |\n", name, n,
			r.repairs[n/2].Seconds(), r.repairs[n-1].Seconds(), r.outage.Seconds())
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		line(name, *t[name])
		all.repairs = append(all.repairs, t[name].repairs...)
		all.outage = max(all.outage, t[name].outage)
	}
	if len(all.repairs) > 0 {
		line("all", all)
	}
	return b.String()
}
