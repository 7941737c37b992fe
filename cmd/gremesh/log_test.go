package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestTheLogIsJSONUnlessSomeoneReadsIt(t *testing.T) {
	for _, c := range []struct {
		cfg  LogConfig
		want string // what a line at info looks like; empty: there is none
	}{
		{LogConfig{Format: "auto"}, `"msg":"joined","peer":"h2"`},
		{LogConfig{Format: "json"}, `"msg":"joined","peer":"h2"`},
		{LogConfig{Format: "text"}, `INF joined peer=h2`},
		{LogConfig{Format: "text", Level: slog.LevelWarn}, ``},
	} {
		var b strings.Builder
		newLogger(&b, c.cfg).Info("joined", "peer", "h2")
		if got := b.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) || strings.Contains(got, "\x1b") {
			t.Errorf("%+v: wrote %q, want %q", c.cfg, got, c.want)
		}
	}
}
