package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv/kernel"
)

func kernelCommand() *cobra.Command {
	cfg := kernel.Config{Stdout: os.Stdout, Stderr: os.Stderr}
	guests := 1
	cmd := &cobra.Command{
		Use:   "kernel [flags] -- COMMAND [ARG...]",
		Short: "Run a command on a throw-away kernel that has Open vSwitch's datapath",
		Long: `Run a command, as root, on a throw-away kernel over this machine's files. What it changes is lost, except in the folder of --share. The exit status
is the command's, or 125 where this machine can't boot such a kernel.`,
		Example: "  testenv kernel -- env TESTENV_DATAPATH=system bin/testenv demo",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return kernel.RunSeveral(cmd.Context(), cfg, guests, args...)
		},
	}
	cmd.Flags().StringVar((*string)(&cfg.Bed), "bed", string(kernel.UML),
		"uml: Debian's user-mode Linux; qemu: Debian's own kernel, emulated, slow")
	cmd.Flags().StringVar(&cfg.Kernel, "kernel", "/", "of qemu: a `FOLDER` with a kernel; .ci/deps-kernel gets one and prints its name")
	cmd.Flags().StringVar(&cfg.Memory, "memory", "2G", "a guest's memory, at the most")
	cmd.Flags().IntVar(&guests, "guests", 1, "so many run the command side by side")
	cmd.Flags().StringVar(&cfg.Share, "share", "", "a `FOLDER` that the command really writes to")
	cmd.Flags().DurationVar(&cfg.Timeout, "timeout", 15*time.Minute, "of the whole run")
	cmd.Flags().SetInterspersed(false)
	return cmd
}
