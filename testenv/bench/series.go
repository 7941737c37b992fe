package bench

import "slices"

// Series holds the samples of one measure of one way, at one size.
type Series struct {
	Table   string    `json:"table"`   // the table that shows them: "full mesh", "ovsdb", …
	Measure string    `json:"measure"` // "until all ports are present", …
	Way     string    `json:"way"`     // gremesh, or an alternative with which it is compared
	N       int       `json:"n"`       // number of hosts, or of peers of one host
	Unit    string    `json:"unit"`    // s, MB, Mbit/s, …
	Samples []float64 `json:"samples"` // in the order of the runs
}

// median returns the median, or 0 without samples.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	middle := len(x) / 2
	if len(x)%2 == 1 {
		return x[middle]
	}
	return (x[middle-1] + x[middle]) / 2
}

// ratio returns the median of the ratios of samples that were taken one after
// the other, run by run. A change on the machine during the runs then affects
// both samples of a ratio. If the numbers of samples differ, it returns the
// ratio of the medians.
func ratio(x, base []float64) float64 {
	if len(x) != len(base) {
		return median(x) / median(base)
	}
	pairs := make([]float64, len(x))
	for i := range x {
		pairs[i] = x[i] / base[i]
	}
	return median(pairs)
}

// samples collects Series in the order in which they first appear.
type samples struct {
	table  string
	note   string // where they were taken, if not on this machine itself
	series []Series
}

func (s *samples) add(measure, way string, n int, unit string, value float64) {
	for i := range s.series {
		if it := &s.series[i]; it.Measure == measure && it.Way == way && it.N == n {
			it.Samples = append(it.Samples, value)
			return
		}
	}
	s.series = append(s.series, Series{s.table, measure, way, n, unit, []float64{value}})
}
