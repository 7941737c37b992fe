package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"
)

// page is the template of benchmarks.md. Its long lines are Markdown
// paragraphs.
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
{{- with .Plot}}

![How they grow]({{.}})
{{- end}}
{{- end}}
`))

// writeMarkdown writes the page, with a section for each part.
func (r Report) writeMarkdown(w io.Writer, tables []Table) error {
	type section struct{ Title, Text, Note, Error, Grid, Plot string }
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
			Note:  strings.TrimSpace(part.Note + " It took " + (time.Duration(part.Seconds) * time.Second).String() + "."),
			Error: strings.ReplaceAll(part.Error, "\n", " "),
			Grid:  t.grids(r.Series),
		}
		if g := t.growth(r.Series); g != nil {
			s.Plot = g.file()
		}
		sections = append(sections, s)
	}
	return page.Execute(w, struct {
		Report
		Command string
		Tables  []section
	}{r, strings.Join(r.Command, " "), sections})
}
