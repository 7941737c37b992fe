package cli

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/cmd/internal/config"
)

func TestTheLogIsJSONUnlessSomeoneReadsIt(t *testing.T) {
	for _, c := range []struct {
		cfg  config.LogConfig
		want string // what a line at info looks like; empty: there is none
	}{
		{config.LogConfig{Format: "auto"}, `"msg":"joined","peer":"h2"`},
		{config.LogConfig{Format: "json"}, `"msg":"joined","peer":"h2"`},
		{config.LogConfig{Format: "text"}, `INF joined peer=h2`},
		{config.LogConfig{Format: "text", Level: slog.LevelWarn}, ``},
	} {
		var b strings.Builder
		newLogger(&b, c.cfg).Info("joined", "peer", "h2")
		if got := b.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) || strings.Contains(got, "\x1b") {
			t.Errorf("%+v: wrote %q, want %q", c.cfg, got, c.want)
		}
	}
}
