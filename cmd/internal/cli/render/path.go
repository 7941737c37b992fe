package render

import (
	"fmt"
	"time"

	"github.com/gremesh/gremesh/mesh"
)

// pathWords returns the columns of a path: its state, round trip and loss.
func pathWords(path *mesh.PathStatus) (state, rtt, loss string) {
	if path == nil {
		return "-", "-", "-"
	}
	state, rtt, loss = "down", "-", percent(path.Loss)
	switch {
	case path.Since == nil:
		return "-", "-", "-"
	case path.Up && path.SmallOnly:
		state = "small"
	case path.Up:
		state = "up"
	}
	if path.RoundTrip > 0 {
		rtt = milliseconds(path.RoundTrip)
	}
	return state, rtt, loss
}

// pathTotals summarises the paths to all peers on one line.
func pathTotals(a mesh.PathsAudit) string {
	line := fmt.Sprintf("paths: %d of %d up", a.Up, a.Wanted)
	if a.Most > 0 {
		line += ", round trip " + roundTrips(a.Least, a.Most)
	}
	return line + ", loss " + percent(a.Loss)
}

func roundTrips(least, most float64) string {
	from, to := milliseconds(least), milliseconds(most)
	if from == to {
		return to
	}
	return from + " to " + to
}

// milliseconds formats a time in seconds as milliseconds, with two decimals
// below 10 ms, one below 100 ms, and none from there on.
func milliseconds(s float64) string {
	ms := s * float64(time.Second/time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// percent formats a share between 0 and 1. It never shows zero for a share
// above zero.
func percent(share float64) string {
	if p := 100 * share; p == 0 || p >= 1 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return "<1 %"
}
