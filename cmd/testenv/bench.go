package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv/bench"
)

func benchCommand() *cobra.Command {
	var cfg bench.Config
	var dir string
	var tables []string
	for _, t := range bench.Tables() {
		tables = append(tables, t.Name)
	}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure gremesh beside what people would use instead, and write a report",
		Long: `Measure gremesh beside what people would use instead, in turns, and write a
report: benchmarks.md, benchmarks.json with all samples, and plots.

A table that can't be measured is in the report with its error; the others are
measured all the same, and the exit code is 1.

Tables: ` + strings.Join(tables, ", ") + `.`,
		Example: `  testenv bench
  testenv bench --only "full mesh" --hosts 3,10 --runs 5
  testenv bench --only "data path, userspace" --report -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			r, err := bench.Run(cmd.Context(), cfg)
			if len(r.Parts) == 0 {
				return err
			}
			return errors.Join(err, writeReport(cmd.OutOrStdout(), r, dir))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Binary, "gremesh", "bin/gremesh", "the `FILE` that the hosts run as gremesh")
	flags.StringVar(&cfg.Flannel, "flanneld", "bin/flanneld", "the `FILE` that the hosts run as flanneld; without it or etcd, flannel is left out")
	flags.StringVar(&dir, "report", "bench", "the `FOLDER` for the report; -: only JSON, on standard output")
	flags.StringArrayVar(&cfg.Only, "only", nil, "measure this `TABLE`; may be repeated")
	flags.IntSliceVarP(&cfg.Sizes, "hosts", "n", []int{3, 10, 20}, "numbers of hosts of a full mesh")
	flags.IntVar(&cfg.Runs, "runs", 5, "runs of each")
	flags.BoolVar(&cfg.Quick, "quick", false, "once, few hosts and short: to see that it works")
	return cmd
}

func writeReport(stdout io.Writer, r bench.Report, dir string) error {
	if dir == "-" {
		return r.WriteJSON(stdout)
	}
	if err := r.Write(dir); err != nil {
		return err
	}
	_, err := fmt.Fprintln(stdout, filepath.Join(dir, "benchmarks.md"))
	return err
}
