package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv/matrix"
)

func matrixCommand() *cobra.Command {
	cfg := matrix.Config{Stdout: os.Stdout, Cache: matrix.CacheDir()}
	logs := "matrix"
	cmd := &cobra.Command{
		Use:   "matrix [flags] [CELL...]",
		Short: "Run the tests with other versions of Docker and Open vSwitch",
		Long: `Run the tests in root file systems with other versions of Docker and Open
vSwitch, as root, in the module's root. The cells are trixie, sid, docker29 and
docker29-nftables; without an argument all of them run. The exit status is 1 if
a test fails.`,
		Example: "  testenv matrix sid --suite testenv/e2e --run TestDirect",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			cfg.Cells = args
			if cfg.Source, err = os.Getwd(); err != nil {
				return err
			}
			if cfg.Logs, err = filepath.Abs(logs); err != nil {
				return err
			}
			if err := os.MkdirAll(cfg.Logs, 0o755); err != nil {
				return err
			}
			return matrix.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringSliceVar(&cfg.Folders, "suite", nil, "only the tests in this `FOLDER` (may be given several times)")
	cmd.Flags().StringVar(&cfg.Run, "run", "", "only the tests that match this `REGEXP`")
	cmd.Flags().BoolVar(&cfg.Versioned, "versioned", false, "only the tests that depend on a version of Docker or Open vSwitch")
	cmd.Flags().StringVar(&logs, "logs", logs, "a `FOLDER` for the output of each suite")
	return cmd
}
