package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/cmd/internal/cli/render"
	"github.com/gremesh/gremesh/cmd/internal/exit"
	"github.com/gremesh/gremesh/mesh"
)

const watchEvery = 2 * time.Second

// watchMesh audits the mesh every watchEvery until the command is stopped. It
// returns the outcome of the last audit. If the agent does not answer,
// watchMesh tries again, because the agent may be restarting.
func watchMesh(cmd *cobra.Command, file *configFile, out *output) error {
	c, err := file.client(cmd)
	if err != nil {
		return err
	}
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var outcome error = exit.Error{Code: exit.Unknown, Err: errors.New("stopped before the mesh was audited once")}
	for {
		audit, err := c.MeshLook(ctx)
		if ctx.Err() != nil {
			return outcome
		}
		outcome = auditEnd(err, meshExit(audit))
		if err := writeLook(w, cmd.ErrOrStderr(), *out, audit, err); err != nil {
			return exit.Error{Code: exit.Unknown, Err: err}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return outcome
		}
	}
}

// writeLook writes one audit, or the reason for its failure.
func writeLook(w, stderr io.Writer, out output, audit mesh.FullAudit, failed error) error {
	if out == asJSON {
		if failed != nil {
			_, err := fmt.Fprintln(stderr, "gremesh:", failed)
			return err
		}
		return json.NewEncoder(w).Encode(audit)
	}
	frame := "can't tell: " + fmt.Sprint(failed) + "\n"
	if failed == nil {
		frame = render.Mesh(audit, render.Styler(coloured(w)))
	}
	now := time.Now().UTC().Format(time.DateTime + " UTC")
	if isTerminal(w) {
		frame = overdraw(now + "\n\n" + frame)
	} else {
		frame = "== " + now + "\n" + frame
	}
	_, err := io.WriteString(w, frame)
	return err
}

// overdraw returns control sequences that draw a frame over the previous one.
// It starts in the upper left corner, clears the rest of each line, and clears
// the lines below the frame. Clearing the whole terminal first would make it
// flicker. Source: ECMA-48 (CUP, EL, ED).
func overdraw(frame string) string {
	return "\x1b[H" + strings.ReplaceAll(frame, "\n", "\x1b[K\n") + "\x1b[J"
}
