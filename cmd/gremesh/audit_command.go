package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
)

func newAuditCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare what should be on this host with what is",
		Long: `Ask the running agent to compare the switch, docker0, routes, sysctls and
daemon.json of this host with what they should be. Each difference is a line:
what is, and what should be. Nothing is changed.

Exit codes:
  0  clean
  1  drift, be it that some parts could not be judged
  2  the command line or the configuration is wrong
  3  can't tell: no drift was found, but parts could not be judged, or the agent
     does not answer`,
		Example: `  gremesh audit

  # the commands that would mend it
  gremesh audit -o json | jq -r '.drift[]?.commands[]?'`,
		Args: cobra.NoArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		audit, err := show(cmd, file, out, (*client).audit, renderAudit)
		var usage exitErr
		switch {
		case errors.As(err, &usage):
			return err
		case err != nil:
			return exitErr{exitUnknown, err}
		}
		return auditExit(audit)
	}
	return cmd
}

// auditExit turns an audit into its exit code.
func auditExit(audit mesh.Audit) error {
	switch {
	case len(audit.Drift) > 0:
		return exitErr{code: exitDrift}
	case len(audit.Problems) > 0:
		return exitErr{code: exitUnknown}
	}
	return nil
}
