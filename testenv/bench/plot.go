package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// growth is a plot of how one measure grows with the size.
type growth struct {
	title string
	file  string
	sizes string
	unit  string
	ways  []Series // of each way one after another, by size
}

// plots are those of all measures of tables that have several sizes.
func (r Report) plots(tables []Table) []growth {
	var all []growth
	for _, t := range tables {
		mine := t.of(r.Series)
		for _, m := range distinct(mine, func(s Series) string { return s.Measure }) {
			of := only(mine, m, func(s Series) string { return s.Measure })
			if len(distinct(of, Series.size)) < 2 {
				continue
			}
			slices.SortStableFunc(of, func(a, b Series) int { return a.N - b.N })
			all = append(all, growth{
				title: t.Name + ": " + m,
				file:  "benchmarks-" + slug(t.Name+" "+m) + ".svg",
				sizes: t.Sizes,
				unit:  of[0].Unit,
				ways:  of,
			})
		}
	}
	return all
}

// slug is what is good in a file name and in an address.
func slug(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

// points are the medians of a way, with what lies between least and most.
type points struct {
	plotter.XYs
	plotter.YErrors
}

// write draws an SVG.
func (g growth) write(w io.Writer) error {
	p := plot.New()
	p.Title.Text = g.title
	p.X.Label.Text = g.sizes
	p.Y.Label.Text = g.unit
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, way := range distinct(g.ways, Series.by) {
		var of points
		for _, s := range only(g.ways, way, Series.by) {
			m := median(s.Samples)
			of.XYs = append(of.XYs, plotter.XY{X: float64(s.N), Y: m})
			of.YErrors = append(of.YErrors, struct{ Low, High float64 }{m - slices.Min(s.Samples), slices.Max(s.Samples) - m})
		}
		line, marks, err := plotter.NewLinePoints(of)
		if err != nil {
			return fmt.Errorf("plot %s: %w", g.title, err)
		}
		bars, err := plotter.NewYErrorBars(of)
		if err != nil {
			return fmt.Errorf("plot %s: %w", g.title, err)
		}
		line.Color, marks.Color, bars.Color = plotutil.Color(i), plotutil.Color(i), plotutil.Color(i)
		marks.Shape = plotutil.Shape(i)
		p.Add(line, marks, bars)
		p.Legend.Add(way, line, marks)
	}
	drawn, err := p.WriterTo(6*vg.Inch, 4*vg.Inch, "svg")
	if err != nil {
		return fmt.Errorf("plot %s: %w", g.title, err)
	}
	_, err = drawn.WriteTo(w)
	return err
}
