package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
)

func TestEachJoinedErrorHasItsLine(t *testing.T) {
	err := fmt.Errorf("both: %w and %w", errors.New("a"), errors.New("b"))
	got := errorText(exitErr{exitUsage, errors.Join(errors.New("one"), errors.Join(err, errors.New("three\n\n\thint")))})
	want := "gremesh: one\ngremesh: both: a and b\ngremesh: three\n\thint\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

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

func TestWhoIsNotRootIsToldToBecomeIt(t *testing.T) {
	denied := fmt.Errorf("read the history: %w", fs.ErrPermission)
	for _, c := range []struct {
		err  error
		root bool
		want string
	}{
		{denied, false, "read the history: permission denied: become root"},
		{denied, true, "read the history: permission denied"},
		{fmt.Errorf("%w: become root", denied), false, "read the history: permission denied: become root"},
		{errors.New("no"), false, "no"},
	} {
		if got := advised(c.err, c.root).Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
