package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gremesh/gremesh/mesh"
)

const watchEvery = 2 * time.Second

// watchMesh looks at the mesh until it is stopped, and ends with the outcome of
// the last look. An agent that does not answer is looked at again, for it may be
// restarted.
func watchMesh(cmd *cobra.Command, file *configFile, out *output) error {
	c, err := file.client(cmd)
	if err != nil {
		return err
	}
	ctx, w := cmd.Context(), cmd.OutOrStdout()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var outcome error
	for {
		audit, err := c.meshLook(ctx)
		if ctx.Err() != nil {
			return outcome
		}
		outcome = auditEnd(err, meshExit(audit))
		if err := writeLook(w, cmd.ErrOrStderr(), *out, audit, err); err != nil {
			return exitErr{exitUnknown, err}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return outcome
		}
	}
}

// writeLook writes one look, or why there was none.
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
		frame = renderMesh(audit, paint(coloured(w)))
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

// overdraw draws a frame over the last one without the flicker of clearing the
// terminal first: from its upper left corner, each line to its end, and then
// what is below (ECMA-48: CUP, EL, ED).
func overdraw(frame string) string {
	return "\x1b[H" + strings.ReplaceAll(frame, "\n", "\x1b[K\n") + "\x1b[J"
}
