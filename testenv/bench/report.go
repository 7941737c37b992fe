package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Report is the result of a run.
type Report struct {
	Began   time.Time `json:"began"`
	Command []string  `json:"command"`
	Machine Machine   `json:"machine"`
	Parts   []Part    `json:"parts"`
	Series  []Series  `json:"series"` // all samples
}

// Part describes the measurement of one Table.
type Part struct {
	Table   string  `json:"table"`
	Seconds float64 `json:"seconds"`         // duration of the measurement
	Note    string  `json:"note,omitempty"`  // where it was measured, if not on the machine itself
	Error   string  `json:"error,omitempty"` // why it ended early
}

// Run measures the tables that the Config selects, one after another. If a
// table fails, Run continues with the others. The report then contains the
// results until the failure, and Run returns an error.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Quick {
		cfg.Sizes, cfg.Runs = []int{2}, 1
	}
	r := Report{Began: time.Now().UTC().Truncate(time.Second), Command: os.Args}
	var tables []Table
	for _, t := range Tables() {
		if len(cfg.Only) == 0 || slices.Contains(cfg.Only, t.Name) {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return r, fmt.Errorf("measure %q: there are %q", cfg.Only, names())
	}
	var err error
	if r.Machine, err = thisMachine(ctx, cfg); err != nil {
		return r, err
	}
	var errs []error
	for i, t := range tables {
		if ctx.Err() != nil {
			break
		}
		start := time.Now()
		cfg.Log.Info("table begins", "table", t.Name, "number", i+1, "of", len(tables))
		s := samples{table: t.Name}
		err := t.measure(ctx, cfg, &s)
		part := Part{Table: t.Name, Seconds: time.Since(start).Round(time.Second).Seconds(), Note: s.note}
		if err != nil {
			part.Error = err.Error()
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
			cfg.Log.Error("failed", "table", t.Name, "err", err)
		}
		cfg.Log.Info("table ends", "table", t.Name, "seconds", part.Seconds, "since the start", time.Since(r.Began).Round(time.Second))
		r.Parts = append(r.Parts, part)
		r.Series = append(r.Series, s.series...)
	}
	return r, errors.Join(append(errs, ctx.Err())...)
}

func names() []string {
	var all []string
	for _, t := range Tables() {
		all = append(all, t.Name)
	}
	return all
}

// WriteJSON writes the report with all samples.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// Write writes benchmarks.md, benchmarks.json and the plots into a folder. It
// first removes the plots of an earlier report.
func (r Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "benchmarks-*.svg"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for _, t := range Tables() {
		if g := t.growth(r.Series); g != nil {
			if err := writeFile(filepath.Join(dir, g.file()), g.write); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		writeFile(filepath.Join(dir, "benchmarks.json"), r.WriteJSON),
		writeFile(filepath.Join(dir, "benchmarks.md"), func(w io.Writer) error { return r.writeMarkdown(w, Tables()) }),
	)
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
