package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// page is benchmarks.md. Long lines are Markdown's paragraphs.
var page = template.Must(template.New("page").Parse(`# Benchmarks

Written by ` + "`make bench`" + `, all of it in one run; every sample is in [benchmarks.json](benchmarks.json). What is compared was run in turn, the first of each run another. A cell is the median (least–most) of the runs. × is the ratio to the way that has 1 there: the median of the ratios run by run.

| | |
|---|---|
| began | {{.Began.Format "2006-01-02 15:04 MST"}} |
| command | ` + "`{{.Command}}`" + ` |
| machine | {{.Machine.Processors}} processors ({{.Machine.CPU}}), {{.Machine.Memory}} memory, load {{.Machine.Load}} when it began |
{{- range .Machine.Versions}}
| {{.Name}} | {{.Version}} |
{{- end}}

All hosts are on that one machine, each a network namespace with its own Open vSwitch ([how](testing.md#labs)): compare ways, not machines.
{{- range .Tables}}

## {{.Title}}

{{.Text}}
{{- with .Note}}

{{.}}
{{- end}}
{{- with .Error}}

**Not finished**: {{.}}
{{- end}}
{{- with .Grid}}

{{.}}
{{- end}}
{{- range .Plots}}

![{{.Title}}]({{.File}})
{{- end}}
{{- end}}
`))

// writeMarkdown writes the page, with a section for each part.
func (r Report) writeMarkdown(w io.Writer, tables []Table) error {
	type plotLink struct{ Title, File string }
	type section struct {
		Title, Text, Note, Error, Grid string
		Plots                          []plotLink
	}
	var sections []section
	for _, part := range r.Parts {
		i := slices.IndexFunc(tables, func(t Table) bool { return t.Name == part.Table })
		if i < 0 {
			return fmt.Errorf("the report has a table %q that there is not", part.Table)
		}
		t := tables[i]
		s := section{
			Title: strings.ToUpper(t.Name[:1]) + t.Name[1:],
			Text:  strings.ReplaceAll(t.Text, "\n", " "),
			Note:  part.Note,
			Error: strings.ReplaceAll(part.Error, "\n", " "),
			Grid:  t.grid(r.Series),
		}
		for _, p := range r.plots(tables[i : i+1]) {
			s.Plots = append(s.Plots, plotLink{p.title, p.file})
		}
		sections = append(sections, s)
	}
	return page.Execute(w, struct {
		Report
		Command string
		Tables  []section
	}{r, strings.Join(r.Command, " "), sections})
}

// grid has a row for each size and way, and two columns for each measure: the
// second is the ratio, of tables that have something to compare with.
func (t Table) grid(all []Series) string {
	mine := t.of(all)
	if len(mine) == 0 {
		return ""
	}
	measures := distinct(mine, func(s Series) string { return s.Measure + ", " + s.Unit })
	sizes := slices.Sorted(slices.Values(distinct(mine, func(s Series) int { return s.N })))
	head := []string{"", ""}
	if t.Sizes != "" {
		head[0] = t.Sizes
	}
	for _, m := range measures {
		head = append(head, t.ratioToo(m, "×")...)
	}
	rows := [][]string{head, slices.Repeat([]string{"---"}, len(head))}
	for _, n := range sizes {
		here := slices.DeleteFunc(slices.Clone(mine), func(s Series) bool { return s.N != n })
		for _, way := range distinct(here, func(s Series) string { return s.Way }) {
			row := []string{strconv.Itoa(n), way}
			for _, m := range measures {
				row = append(row, t.cells(here, way, m)...)
			}
			rows = append(rows, row)
		}
	}
	var lines []string
	for _, row := range rows {
		if t.Sizes == "" {
			row = row[1:]
		}
		lines = append(lines, "| "+strings.Join(row, " | ")+" |")
	}
	return strings.Join(lines, "\n")
}

func (t Table) ratioToo(figure, ratio string) []string {
	if t.Base == "" {
		return []string{figure}
	}
	return []string{figure, ratio}
}

// cells are a figure and its ratio to the base of the same size and measure.
func (t Table) cells(here []Series, way, measure string) []string {
	find := func(way string) []float64 {
		for _, s := range here {
			if s.Way == way && s.Measure+", "+s.Unit == measure {
				return s.Samples
			}
		}
		return nil
	}
	x, base := find(way), find(t.Base)
	switch {
	case len(x) == 0:
		return t.ratioToo("–", "–")
	case way == t.Base:
		return t.ratioToo(spread(x), "1")
	case len(base) == 0:
		return t.ratioToo(spread(x), "–")
	}
	return t.ratioToo(spread(x), figure(ratio(x, base)))
}

// of are the Series of this table.
func (t Table) of(all []Series) []Series {
	return slices.DeleteFunc(slices.Clone(all), func(s Series) bool { return s.Table != t.Name })
}

// distinct are the keys in the order in which they are first met.
func distinct[K cmp.Ordered](all []Series, key func(Series) K) []K {
	var keys []K
	for _, s := range all {
		if k := key(s); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// spread is the median and, of more than one sample, the extremes.
func spread(x []float64) string {
	if len(x) == 1 {
		return figure(x[0])
	}
	return fmt.Sprintf("%s (%s–%s)", figure(median(x)), figure(slices.Min(x)), figure(slices.Max(x)))
}

// figure has three digits that count, and none is cut off before the point.
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
