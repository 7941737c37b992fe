package cli

import (
	"io"
	"log/slog"

	"github.com/lmittmann/tint"

	"github.com/gremesh/gremesh/cmd/internal/config"
)

// newLogger returns a logger with the configured format. In the format auto it
// writes text on a terminal and JSON elsewhere.
func newLogger(w io.Writer, cfg config.LogConfig) *slog.Logger {
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: cfg.Level, NoColor: !coloured(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: cfg.Level}))
}
