package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh"
)

func newForgetCommand(file *configFile) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget HOST",
		Short: "Forget a host that is gone for good",
		Long: `Forget a host that is gone for good, on all hosts of the mesh. HOST is its name,
its ID, or the first 8 digits of it, as "gremesh leases" shows them. Any host of
the mesh can run this.

A majority of the hosts with a lease must agree; the forgotten host counts as
one that does not. Then its subnet is free, and new hosts do not wait for its
vote any more. A host that is forgotten by mistake keeps its containers. When it
is back, it gets its subnet again unless another host has taken it.

gremesh refuses to forget a host whose agent answers any host, or whose tunnel
still carries packets.

--force is for a mesh of two hosts, or one that has lost its majority. If no
majority agrees, it forgets the host on this host only. The other hosts show that
as a problem, and forget the host if the command is also run there, or after
lease_ttl of silence. --force also forgets a host whose tunnel carries packets.
The risk: if the host is alive but cut off, it keeps its subnet, another host
can take the same subnet, and two hosts then have the same addresses.

--purge erases what a bad record has left on this host. It takes a host that
this host has never met, or one that is forgotten or has given up its subnet.
The record, its effect on the age of new leases, and all that this host has kept
about that host are gone. Run it on every host that shows the record.

Exit codes: 0 it is forgotten, or was before; 1 it is not; 2 the command line or
the configuration is wrong, or there is no terminal to ask on.`,
		Example: `  # the host named h3 was scrapped
  gremesh forget h3

  # in a script
  gremesh forget --yes 5414c3d415a635a2d11c38f03bcac332

  # of two hosts one was scrapped: on the host that is left
  gremesh forget --force h2`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one host, as \"gremesh leases\" shows it: gremesh forget HOST")
			}
			return nil
		},
	}
	yes := yesFlag(cmd)
	force := cmd.Flags().Bool("force", false, "forget it on this host only, without a majority; see the risk above")
	purge := cmd.Flags().Bool("purge", false, "erase what a bad record has left on this host")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := file.client(cmd)
		if err != nil {
			return err
		}
		how, err := forgetHow(*force, *purge)
		if err != nil {
			return err
		}
		found, err := c.FindForgotten(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if found.Already && how != mesh.ForgetPurge {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten already\n", found.Name)
			return err
		}
		if found.Why != "" && how == mesh.ForgetAgreed {
			return errors.New(found.Why)
		}
		if err := confirm(cmd, *yes, forgetQuestion(found, how, time.Now())); err != nil {
			return err
		}
		done, err := c.Forget(cmd.Context(), found.ID, how)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), forgetResult(done, how))
		return err
	}
	return cmd
}

// forgetHow returns the way to forget that the flags ask for.
func forgetHow(force, purge bool) (mesh.ForgetHow, error) {
	switch {
	case force && purge:
		return "", exit.Error{Code: exit.Usage, Err: errors.New("give --force or --purge, not both")}
	case force:
		return mesh.ForgetForced, nil
	case purge:
		return mesh.ForgetPurge, nil
	}
	return mesh.ForgetAgreed, nil
}

// forgetQuestion describes the host to forget and the effect of forgetting it.
func forgetQuestion(f mesh.Forgotten, how mesh.ForgetHow, now time.Time) string {
	seen := "never seen by this host"
	if !f.LastSeen.IsZero() {
		seen = "last seen " + render.Ago(now, f.LastSeen)
	}
	subnet := "no subnet"
	if f.Subnet.IsValid() {
		subnet = f.Subnet.String()
	}
	host := fmt.Sprintf("%s (%.8s) at %s, %s, %s,", f.Name, f.ID, f.Underlay, subnet, seen)
	switch how {
	case mesh.ForgetForced:
		return host + " will be forgotten on this host only, if no majority agrees.\n" +
			"If it is alive but cut off, it keeps its subnet, and another host can take the same one:\n" +
			"two hosts then have the same addresses. Do this only if the host is gone for good.\n" +
			"The other hosts show it as a problem until the command is run there, too."
	case mesh.ForgetPurge:
		return host + " will be erased from what this host knows. Run this on every host that shows it."
	}
	return host + " will be forgotten on every host if a majority agrees, and its subnet\n" +
		"given to any host that asks for it. Do this only if it is gone for good, not if it is cut off."
}

func forgetResult(f mesh.Forgotten, how mesh.ForgetHow) string {
	switch {
	case how == mesh.ForgetPurge:
		return f.Name + " is erased on this host"
	case f.Forced:
		return f.Name + " is forgotten on this host only; where another host still counts it, run this there, too"
	}
	return f.Name + " is forgotten, and its subnet is free"
}
