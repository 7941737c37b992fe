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
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// growth is a picture that shows how a table's measures grow with the size. It
// consists of tiles.
type growth struct {
	table Table
	tiles [][]Series // one tile for each measure, sorted by size
}

// growth returns the picture of a table, or nil if the table has only one size.
func (t Table) growth(all []Series) *growth {
	g := growth{table: t}
	mine := t.of(all)
	slices.SortStableFunc(mine, func(a, b Series) int { return a.N - b.N })
	for _, m := range distinct(t.of(all), Series.title) {
		if of := only(mine, m, Series.title); len(distinct(of, Series.size)) > 1 {
			g.tiles = append(g.tiles, of)
		}
	}
	if len(g.tiles) == 0 {
		return nil
	}
	return &g
}

// file returns a name that is valid as a file name and in a URL.
func (g growth) file() string {
	words := strings.FieldsFunc(strings.ToLower(g.table.Name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return "benchmarks-" + strings.Join(words, "-") + ".svg"
}

// write draws the picture as SVG.
func (g growth) write(w io.Writer) error {
	const columns = 2
	rows := (len(g.tiles) + columns - 1) / columns
	canvas := vgsvg.New(columns*5*vg.Inch, vg.Length(rows)*3.5*vg.Inch)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Inch / 4, PadY: vg.Inch / 4}
	for i, of := range g.tiles {
		p, err := g.tile(of)
		if err != nil {
			return fmt.Errorf("plot %s, %s: %w", g.table.Name, of[0].Measure, err)
		}
		p.Draw(tiles.At(draw.New(canvas), i%columns, i/columns))
	}
	_, err := canvas.WriteTo(w)
	return err
}

// points holds the medians of a way and the ranges from the minimum to the
// maximum.
type points struct {
	plotter.XYs
	plotter.YErrors
}

func (g growth) tile(of []Series) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = of[0].Measure
	p.X.Label.Text = g.table.Sizes
	p.Y.Label.Text = of[0].Unit
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, way := range distinct(of, Series.by) {
		var at points
		for _, s := range only(of, way, Series.by) {
			m := median(s.Samples)
			at.XYs = append(at.XYs, plotter.XY{X: float64(s.N), Y: m})
			at.YErrors = append(at.YErrors, struct{ Low, High float64 }{m - slices.Min(s.Samples), slices.Max(s.Samples) - m})
		}
		line, marks, err := plotter.NewLinePoints(at)
		if err != nil {
			return nil, err
		}
		bars, err := plotter.NewYErrorBars(at)
		if err != nil {
			return nil, err
		}
		line.Color, marks.Color, bars.Color = plotutil.Color(i), plotutil.Color(i), plotutil.Color(i)
		marks.Shape = plotutil.Shape(i)
		p.Add(line, marks, bars)
		p.Legend.Add(way, line, marks)
	}
	return p, nil
}
