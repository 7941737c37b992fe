package render

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/gremesh/gremesh/mesh"
)

// Leases formats the output of `gremesh leases` as a table.
func Leases(leases []mesh.Lease, now time.Time, p Styler) string {
	if len(leases) == 0 {
		return "every subnet is free\n"
	}
	t := newTable()
	t.AppendHeader(table.Row{"SUBNET", "HOST", "UNDERLAY", "LEASE", "HOST IS", "SINCE", "LAST SEEN"})
	var labels hostLabels
	for _, l := range leases {
		labels.add(l.Name, l.ID)
	}
	for _, l := range leases {
		state := p.state(l.State)
		if l.Lost {
			state += ", " + p.state("lost")
		}
		seen := Ago(now, l.LastSeen)
		if l.Host == string(mesh.Alive) {
			seen = "now"
		}
		t.AppendRow(table.Row{l.Subnet, labels.label(l.Name, l.ID), l.Underlay, state, p.state(l.Host), Ago(now, l.Since), seen})
	}
	return t.Render() + "\n"
}

// Ago formats the time since then. Up to a minute it gives seconds. Beyond that
// it gives the largest of minutes, hours and days that fits, rounded down.
func Ago(now, then time.Time) string {
	d := now.Sub(then)
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / unit.length); n > 0 {
			return fmt.Sprintf("%d %s%s ago", n, unit.name, strings.Repeat("s", cmp.Compare(n, 1)))
		}
	}
	return fmt.Sprintf("%d s ago", max(0, int(d/time.Second)))
}
