package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// fewMeasures limits the measures that a table shows side by side, with one row
// for each size and way. If there are more measures, each has its own rows.
const fewMeasures = 4

// grid is a Markdown table. Its first row is the head.
type grid [][]string

func (g grid) String() string {
	var lines []string
	for i, row := range g {
		lines = append(lines, "| "+strings.Join(row, " | ")+" |")
		if i == 0 {
			lines = append(lines, "|"+strings.Repeat(" --- |", len(row)))
		}
	}
	return strings.Join(lines, "\n")
}

// grids returns the table as Markdown.
func (t Table) grids(all []Series) string {
	mine := t.of(all)
	measures := distinct(mine, Series.title)
	slices.SortStableFunc(mine, func(a, b Series) int { return a.N - b.N })
	switch {
	case len(measures) == 0:
		return ""
	case len(measures) <= fewMeasures:
		return t.wayByWay(mine, measures).String()
	}
	return t.measureByMeasure(mine, measures)
}

// wayByWay has a row for each size and way. It omits the size if all rows have
// the same.
func (t Table) wayByWay(mine []Series, measures []string) grid {
	head := append(t.sized(t.Sizes), "")
	for _, m := range measures {
		head = append(head, t.ratioToo(m, "×")...)
	}
	g := grid{head}
	for _, n := range distinct(mine, Series.size) {
		here := only(mine, n, Series.size)
		for _, way := range distinct(here, Series.by) {
			row := append(t.sized(strconv.Itoa(n)), way)
			for _, m := range measures {
				row = append(row, t.cells(only(here, m, Series.title), way)...)
			}
			g = append(g, row)
		}
	}
	return g
}

// measureByMeasure has one grid for the measures that can be compared, with a
// row for each measure, size and way. The measures of only one way are in a
// separate grid for that way, with the sizes side by side.
func (t Table) measureByMeasure(mine []Series, measures []string) string {
	compared := grid{append(append([]string{""}, t.sized(t.Sizes)...), append([]string{""}, t.ratioToo("", "×")...)...)}
	var grids []string
	alone := map[string][]string{} // the measures that only this way has
	for _, m := range measures {
		of := only(mine, m, Series.title)
		ways := distinct(of, Series.by)
		if len(ways) == 1 && t.Base != "" {
			alone[ways[0]] = append(alone[ways[0]], m)
			continue
		}
		for _, n := range distinct(of, Series.size) {
			here := only(of, n, Series.size)
			for _, way := range distinct(here, Series.by) {
				row := append(append([]string{m}, t.sized(strconv.Itoa(n))...), way)
				compared = append(compared, append(row, t.cells(here, way)...))
			}
		}
	}
	if len(compared) > 1 {
		grids = append(grids, compared.String())
	}
	for _, way := range distinct(mine, Series.by) {
		if len(alone[way]) > 0 {
			grids = append(grids, t.sizeBySize(only(mine, way, Series.by), way, alone[way]).String())
		}
	}
	return strings.Join(grids, "\n\n")
}

// sizeBySize has a row for each measure of one way.
func (t Table) sizeBySize(mine []Series, way string, measures []string) grid {
	mine = slices.DeleteFunc(mine, func(s Series) bool { return !slices.Contains(measures, s.title()) })
	sizes := distinct(mine, Series.size)
	head := []string{way + " alone"}
	for _, n := range sizes {
		head = append(head, strings.TrimSpace(strconv.Itoa(n)+" "+t.Sizes))
	}
	g := grid{head}
	for _, m := range measures {
		row := []string{m}
		for _, n := range sizes {
			row = append(row, t.cells(only(only(mine, m, Series.title), n, Series.size), way)[0])
		}
		g = append(g, row)
	}
	return g
}

// sized returns a cell for the size if there are several sizes.
func (t Table) sized(cell string) []string {
	if t.Sizes == "" {
		return nil
	}
	return []string{cell}
}

// ratioToo returns the figure, and also the ratio if the table has a way to
// compare with.
func (t Table) ratioToo(figure, ratio string) []string {
	if t.Base == "" {
		return []string{figure}
	}
	return []string{figure, ratio}
}

// cells returns a way's figure and its ratio to the base. here holds the Series
// of one size and measure.
func (t Table) cells(here []Series, way string) []string {
	of := func(way string) []float64 {
		for _, s := range only(here, way, Series.by) {
			return s.Samples
		}
		return nil
	}
	x, base := of(way), of(t.Base)
	switch {
	case len(x) == 0:
		return t.ratioToo("–", "–")
	case way == t.Base:
		return t.ratioToo(spread(x), "1")
	case len(base) == 0:
		return t.ratioToo(spread(x), "")
	}
	return t.ratioToo(spread(x), figure(ratio(x, base)))
}

// of returns the Series of this table.
func (t Table) of(all []Series) []Series {
	return only(all, t.Name, func(s Series) string { return s.Table })
}

func (s Series) title() string { return s.Measure + ", " + s.Unit }
func (s Series) size() int     { return s.N }
func (s Series) by() string    { return s.Way }

// only returns the Series that have the given key.
func only[K comparable](all []Series, want K, key func(Series) K) []Series {
	return slices.DeleteFunc(slices.Clone(all), func(s Series) bool { return key(s) != want })
}

// distinct returns the different keys in the order in which they first appear.
func distinct[K comparable](all []Series, key func(Series) K) []K {
	var keys []K
	for _, s := range all {
		if k := key(s); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// spread formats the median, and the extremes if there is more than one sample.
func spread(x []float64) string {
	if len(x) == 1 {
		return figure(x[0])
	}
	return fmt.Sprintf("%s (%s–%s)", figure(median(x)), figure(slices.Min(x)), figure(slices.Max(x)))
}

// figure formats a number with three significant digits. It keeps all digits
// before the decimal point.
func figure(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "–"
	case x == 0:
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	return strconv.FormatFloat(x, 'f', max(0, digits), 64)
}
