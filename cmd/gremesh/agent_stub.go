package main

import (
	"context"
	"errors"
	"log/slog"
)

func runAgent(context.Context, Config, *slog.Logger) error {
	return errors.New("the agent is not wired up yet")
}
