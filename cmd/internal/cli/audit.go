package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/api"
)

func newAuditCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:        "audit",
		SuggestFor: []string{"check", "doctor", "verify"},
		Short:      "Compare what should be on this host, or in the whole mesh, with what is",
		Long: `Ask the running agent to compare the switch, docker0, routes, sysctls and
daemon.json of this host with what they should be. Each difference is a line:
what is, and what should be. The command changes nothing. One more line shows the
round trip and the loss of the paths from docker0 to the peers' docker0s. Tunnel
types that the network drops are listed, and are no drift of this host.

With --mesh the agent asks all hosts, encrypted, for what they want and have, and
shows the matrix of directed tunnels: the row is the host where a tunnel begins,
the column where it leads, one sign each. Below the matrix are faults and their
remedies: ports that are missing at one end or both; tunnels that carry packets
one way only, or are up while the path through them is down (P); wrong addresses;
ports that are not protected; subnets or MTUs that conflict; hosts that do not
answer within 2 s. If a fault may be a change under way, the agent looks again 2 s
later and reports only what it has seen twice.

--watch looks every 2 s until stopped, and reports each look. On a terminal it
draws over the last one; elsewhere it appends, with the time; with -o json each
look is a line.

Exit codes:
  0  clean
  1  drift, or a path to a peer that carries no packets although its tunnel is
     up; some parts may not have been judged
  2  the command line or the configuration is wrong
  3  can't tell: no drift was found, but parts or hosts could not be judged, or
     the agent does not answer`,
		Example: `  gremesh audit

  # the commands that would correct it
  gremesh audit -o json | jq -r '.drift[]?.commands[]?'

  # the whole mesh, and then as it changes
  gremesh audit --mesh
  gremesh audit --mesh --watch

  # tunnels that carry nothing
  gremesh audit --mesh -o json | jq -r '.tunnels[]? | select(.state != "up") | [.from, .to, .state] | @tsv'

  # whatever is wrong with the mesh, with the time, to a file
  gremesh audit --mesh --watch -o json | jq -c --unbuffered '{time, findings}' >> mesh.log`,
		Args: cobra.NoArgs,
	}
	whole := cmd.Flags().Bool("mesh", false, "audit all hosts, and the tunnels between them")
	watch := cmd.Flags().Bool("watch", false, "with --mesh: look again every 2 s")
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *watch && !*whole:
			return exit.Error{Code: exit.Usage, Err: errors.New("--watch is for --mesh")}
		case *watch:
			return watchMesh(cmd, file, out)
		case *whole:
			audit, err := show(cmd, file, out, (*api.Client).MeshAudit, render.Mesh)
			return auditEnd(err, meshExit(audit))
		}
		audit, err := show(cmd, file, out, (*api.Client).Audit, render.Audit)
		return auditEnd(err, auditExit(audit))
	}
	return cmd
}

// auditEnd returns the error with which an audit ends. A usage error is
// returned as it is. Any other failure becomes the exit code for "can't tell".
// Without a failure, auditEnd returns outcome.
func auditEnd(failed, outcome error) error {
	var usage exit.Error
	switch {
	case errors.As(failed, &usage):
		return failed
	case failed != nil:
		return exit.Error{Code: exit.Unknown, Err: failed}
	}
	return outcome
}

// auditExit returns the exit code of an audit of this host, or nil if it is
// clean.
func auditExit(audit mesh.Audit) error {
	switch {
	case len(audit.Drift) > 0, len(audit.Paths.Problems) > 0:
		return exit.Error{Code: exit.Drift}
	case len(audit.Problems) > 0:
		return exit.Error{Code: exit.Unknown}
	}
	return nil
}

// meshExit returns the exit code of an audit of the mesh, or nil if it is
// clean.
func meshExit(audit mesh.FullAudit) error {
	for _, f := range audit.Findings {
		if !f.Unsure {
			return exit.Error{Code: exit.Drift}
		}
	}
	if len(audit.Findings) > 0 {
		return exit.Error{Code: exit.Unknown}
	}
	return nil
}
