// Command testenv creates labs of real hosts on this machine, and demonstrates
// in one of them how hosts form a mesh. See package testenv.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	var exit *exec.ExitError    // a command on a host failed; it has already printed the reason
	var guest *kernel.ExitError // the same, in a guest
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case errors.As(err, &guest):
		return guest.Code
	case errors.Is(err, kernel.ErrBoot):
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return 125
	case err != nil:
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "testenv",
		Short:             "Real hosts on one machine: namespaces, each with its own Open vSwitch and Docker",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(upCommand(), downCommand(), execCommand(), demoCommand(), benchCommand(), kernelCommand(), matrixCommand())
	return root
}

// labFlags adds the flags of the commands that create a lab.
func labFlags(cmd *cobra.Command, cfg *testenv.Config) {
	cmd.Flags().IntVarP(&cfg.Hosts, "hosts", "n", 3, "number of hosts")
	cmd.Flags().StringVar(&cfg.Binary, "gremesh", "bin/gremesh", "the `FILE` that the hosts run as gremesh")
}

func upCommand() *cobra.Command {
	var cfg testenv.Config
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a lab, without starting agents, and leave it up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := testenv.New(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if err := errors.Join(l.Form(nil), l.Keep()); err != nil {
				return errors.Join(err, l.Close())
			}
			printEntrance(cmd.OutOrStdout(), l)
			return nil
		},
	}
	labFlags(cmd, &cfg)
	cmd.Flags().BoolVar(&cfg.Docker, "docker", false, "give each host a dockerd")
	return cmd
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down [LAB]",
		Short: "Remove a lab; it may be left out when there is only one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var name string
			if len(args) == 1 {
				name = args[0]
			}
			l, err := findLab(name)
			if err != nil {
				return err
			}
			return testenv.Remove(l.Dir)
		},
	}
}

func execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exec [LAB/]HOST COMMAND [ARG...]",
		Short:   "Run a command on a host: ovs-vsctl, docker and gremesh there are the host's",
		Example: "  testenv exec h1 bash\n  testenv exec gm-abcd/h2 docker ps",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			lab, host, named := strings.Cut(args[0], "/")
			if !named {
				lab, host = "", args[0]
			}
			l, err := findLab(lab)
			if err != nil {
				return err
			}
			i, err := strconv.Atoi(strings.TrimPrefix(host, "h"))
			if err != nil || i < 1 || i > len(l.Hosts()) {
				return fmt.Errorf("host %s: lab %s has h1 to h%d", host, l.Name, len(l.Hosts()))
			}
			// The terminal sends Ctrl-C to the command as well, and the command
			// decides what to do. Therefore its context ignores the signal.
			return attach(l.Host(i).Command(context.WithoutCancel(cmd.Context()), args[1:]...))
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// attach runs a command on the terminal of this process.
func attach(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// findLab opens the lab with the given name. Without a name it opens the only
// lab.
func findLab(name string) (*testenv.Lab, error) {
	if name != "" {
		return testenv.Open(filepath.Join(os.TempDir(), name))
	}
	labs, err := filepath.Glob(filepath.Join(os.TempDir(), "gm-*", "h1"))
	if err != nil {
		return nil, err
	}
	switch len(labs) {
	case 0:
		return nil, errors.New("there is no lab: `testenv up` makes one")
	case 1:
		return testenv.Open(filepath.Dir(labs[0]))
	}
	names := make([]string, len(labs))
	for i, h1 := range labs {
		names[i] = filepath.Base(filepath.Dir(h1))
	}
	return nil, fmt.Errorf("there are several labs, name one of %s", strings.Join(names, ", "))
}
